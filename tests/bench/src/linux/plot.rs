//! The plot: what one more bridge costs, by how many there are.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;

use super::contender::Contender;
use super::create::Growth;

const SIZE: (u32, u32) = (900, 520);
/// `sans-serif`, as the browser has it.
const FONT: &str = "sans-serif";

/// Okabe's and Ito's colours, which can be told apart by everyone. What is plain C is grey.
fn colour(contender: Contender) -> RGBColor {
    match contender {
        Contender::Netlink => RGBColor(0, 114, 178),
        Contender::Bulk => RGBColor(86, 180, 233),
        Contender::Ioctl => RGBColor(0, 158, 115),
        Contender::Rtnetlink => RGBColor(213, 94, 0),
        Contender::IpBatch => RGBColor(230, 159, 0),
        Contender::PlainNetlink => RGBColor(40, 40, 40),
        Contender::PlainStaged => RGBColor(90, 90, 90),
        _ => RGBColor(140, 140, 140),
    }
}

pub(super) fn draw(growth: &Growth, caption: &str, path: &Path) -> Result<(), Box<dyn Error>> {
    let of = |place: usize| {
        growth.iter().map(move |(present, times)| (f64::from(*present), times[place].1.summary().median))
    };
    let contenders: Vec<Contender> = growth[0].1.iter().map(|(contender, _)| *contender).collect();
    let highest = (0..contenders.len()).flat_map(of).map(|(_, time)| time).fold(0.0, f64::max);
    let most = f64::from(growth[growth.len() - 1].0);

    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(caption, (FONT, 17))
        .margin(16)
        .x_label_area_size(46)
        .y_label_area_size(62)
        .build_cartesian_2d(0.0..most * 1.02, 0.0..highest * 1.35)?;
    chart
        .configure_mesh()
        .x_desc("bridges present")
        .y_desc("one more, µs (median)")
        .x_label_formatter(&|present| format!("{present:.0}"))
        .y_label_formatter(&|time| format!("{time:.0}"))
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.1))
        .axis_style(BLACK.mix(0.6))
        .label_style((FONT, 14))
        .axis_desc_style((FONT, 15))
        .draw()?;
    for (place, contender) in contenders.into_iter().enumerate() {
        let style = colour(contender).stroke_width(2);
        chart
            .draw_series(LineSeries::new(of(place), style).point_size(3))?
            .label(contender.name())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 22, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .legend_area_size(28)
        .label_font((FONT, 14))
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.2))
        .draw()?;
    area.present()?;
    Ok(())
}
