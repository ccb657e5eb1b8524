/*
 * The plain program that vmbridge is measured against: bare system calls, no library, no more checks than
 * whether the kernel said yes.
 *
 *     plain netlink|pipelined|ioctl|staged
 *
 * Each line of standard input, "FIRST COUNT", has it create so many bridges, each with a MAC and an MTU,
 * and up. It answers with the nanoseconds that this took.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MTU 1400
/* So many answers wait in a socket's buffer without being lost. */
#define WINDOW 64

static int control, rtnetlink, uevents, namespace;

static void fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static int check(int result, const char *what)
{
	if (result < 0)
		fail(what);
	return result;
}

static void hex(char *to, unsigned number)
{
	for (int digit = 0; digit < 8; digit++)
		to[digit] = "0123456789abcdef"[number >> (28 - 4 * digit) & 15];
	to[8] = 0;
}

/* As the benchmark names them, too. */
static void name_bridge(char *name, unsigned number)
{
	name[0] = 'b';
	hex(name + 1, number);
}

static void make_mac(void *mac, unsigned number)
{
	const unsigned char bytes[6] = { 0x52, 0x54, 0, number >> 16, number >> 8, number };
	memcpy(mac, bytes, sizeof bytes);
}

/* The two messages that make a bridge: an MTU that is set after the creation stays. The second names the index that the
 * first asks for. */
struct message {
	struct nlmsghdr header;
	struct ifinfomsg link;
	struct rtattr name_header;
	char name[12];
	struct rtattr mac_header;
	unsigned char mac[8];
	struct rtattr mtu_header;
	unsigned mtu;
	struct rtattr info_header;
	struct rtattr kind_header;
	char kind[8];
	struct nlmsghdr second;
	struct ifinfomsg created;
	struct rtattr second_mtu_header;
	unsigned second_mtu;
};

static void fill(struct message *message, unsigned number)
{
	*message = (struct message){
		.header = { .nlmsg_len = offsetof(struct message, second),
			    .nlmsg_type = RTM_NEWLINK,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL,
			    .nlmsg_seq = number },
		.link = { .ifi_index = 1 << 29 | number, .ifi_flags = IFF_UP, .ifi_change = IFF_UP },
		.name_header = { RTA_LENGTH(10), IFLA_IFNAME },
		.mac_header = { RTA_LENGTH(6), IFLA_ADDRESS },
		.mtu_header = { RTA_LENGTH(4), IFLA_MTU },
		.mtu = MTU ^ 1,
		.info_header = { RTA_LENGTH(12), IFLA_LINKINFO },
		.kind_header = { RTA_LENGTH(7), IFLA_INFO_KIND },
		.kind = "bridge",
		.second = { .nlmsg_len = sizeof *message - offsetof(struct message, second),
			    .nlmsg_type = RTM_SETLINK,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK,
			    .nlmsg_seq = number },
		.created = { .ifi_index = 1 << 29 | number },
		.second_mtu_header = { RTA_LENGTH(4), IFLA_MTU },
		.second_mtu = MTU,
	};
	name_bridge(message->name, number);
	make_mac(message->mac, number);
}

static void receive_ack(unsigned number)
{
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		char rest[256];
	} answer;
	check(recv(rtnetlink, &answer, sizeof answer, 0), "recv");
	errno = -answer.error.error;
	if (answer.header.nlmsg_type != NLMSG_ERROR || answer.header.nlmsg_seq != number || errno)
		fail("RTM_NEWLINK");
}

static void netlink(unsigned first, unsigned count)
{
	for (unsigned number = first; number < first + count; number++) {
		struct message message;
		fill(&message, number);
		check(send(rtnetlink, &message, sizeof message, 0), "send");
		receive_ack(number);
	}
}

static void pipelined(unsigned first, unsigned count)
{
	static struct message messages[WINDOW];
	for (unsigned sent = 0; sent < count; ) {
		unsigned window = count - sent < WINDOW ? count - sent : WINDOW;
		for (unsigned item = 0; item < window; item++)
			fill(&messages[item], first + sent + item);
		check(send(rtnetlink, messages, window * sizeof *messages, 0), "send");
		for (unsigned item = 0; item < window; item++)
			receive_ack(first + sent + item);
		sent += window;
	}
}

static void call(unsigned long code, struct ifreq *request, const char *what)
{
	check(ioctl(control, code, request), what);
}

/* The fewest calls. */
static void bare(unsigned first, unsigned count)
{
	for (unsigned number = first; number < first + count; number++) {
		struct ifreq request = { 0 };
		name_bridge(request.ifr_name, number);
		check(ioctl(control, SIOCBRADDBR, request.ifr_name), "SIOCBRADDBR");
		request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
		make_mac(request.ifr_hwaddr.sa_data, number);
		call(SIOCSIFHWADDR, &request, "SIOCSIFHWADDR");
		request.ifr_mtu = MTU;
		call(SIOCSIFMTU, &request, "SIOCSIFMTU");
		request.ifr_flags = IFF_UP | IFF_BROADCAST | IFF_MULTICAST;
		call(SIOCSIFFLAGS, &request, "SIOCSIFFLAGS");
	}
}

/* The calls of the ioctl backend, which keep the promise of the MAC (platform/src/linux/ioctl). */
static void staged(unsigned first, unsigned count)
{
	for (unsigned number = first; number < first + count; number++) {
		struct ifreq request = { 0 };
		name_bridge(request.ifr_name, number);
		if (ioctl(control, SIOCGIFINDEX, &request) == 0 || errno != ENODEV)
			fail("SIOCGIFINDEX");

		/* Does a udevd listen? */
		char listeners[4096];
		off_t end = 0;
		for (int len; (len = check(pread(uevents, listeners, sizeof listeners, end), "pread")) != 0; )
			end += len;

		/* The claim of the staging name, in this namespace. */
		struct stat here, opened;
		check(fstat(namespace, &opened), "fstat");
		check(stat("/proc/thread-self/ns/net", &here), "stat");
		struct sockaddr_un address = { .sun_family = AF_UNIX };
		strcpy(address.sun_path + 1, "vmbridge/vmb");
		hex(address.sun_path + 13, number);
		int claim = check(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
		check(bind(claim, (struct sockaddr *)&address, offsetof(struct sockaddr_un, sun_path) + 21), "bind");

		struct ifreq staging = { 0 };
		strcpy(staging.ifr_name, address.sun_path + 10);
		check(ioctl(control, SIOCBRADDBR, staging.ifr_name), "SIOCBRADDBR");
		call(SIOCGIFINDEX, &staging, "SIOCGIFINDEX");
		int index = staging.ifr_ifindex;
		staging.ifr_hwaddr.sa_family = ARPHRD_ETHER;
		make_mac(staging.ifr_hwaddr.sa_data, number);
		call(SIOCSIFHWADDR, &staging, "SIOCSIFHWADDR");
		call(SIOCGIFHWADDR, &staging, "SIOCGIFHWADDR");
		staging.ifr_mtu = MTU;
		call(SIOCSIFMTU, &staging, "SIOCSIFMTU");
		strcpy(staging.ifr_newname, request.ifr_name);
		call(SIOCSIFNAME, &staging, "SIOCSIFNAME");
		request.ifr_ifindex = index;
		call(SIOCGIFNAME, &request, "SIOCGIFNAME");
		call(SIOCGIFFLAGS, &request, "SIOCGIFFLAGS");
		request.ifr_flags |= IFF_UP;
		call(SIOCSIFFLAGS, &request, "SIOCSIFFLAGS");
		close(claim);
	}
}

static long long now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int main(int argc, char **argv)
{
	const struct {
		const char *name;
		void (*create)(unsigned, unsigned);
	} modes[] = { { "netlink", netlink }, { "pipelined", pipelined }, { "ioctl", bare }, { "staged", staged } };
	void (*create)(unsigned, unsigned) = NULL;
	for (unsigned mode = 0; mode < sizeof modes / sizeof *modes; mode++)
		if (argc == 2 && strcmp(argv[1], modes[mode].name) == 0)
			create = modes[mode].create;
	if (!create) {
		fputs("usage: plain netlink|pipelined|ioctl|staged\n", stderr);
		return 2;
	}
	struct sockaddr_nl address = { .nl_family = AF_NETLINK };
	rtnetlink = check(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), "socket");
	check(bind(rtnetlink, (struct sockaddr *)&address, sizeof address), "bind");
	control = check(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
	uevents = check(open("/proc/thread-self/net/netlink", O_RDONLY | O_CLOEXEC), "/proc/net/netlink");
	namespace = check(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC), "/proc/thread-self/ns/net");

	unsigned first, count;
	while (scanf("%u %u", &first, &count) == 2) {
		long long start = now();
		create(first, count);
		printf("%lld\n", now() - start);
		fflush(stdout);
	}
	return 0;
}
