/*
 * What FreeBSD 14's start code (crt1), which zig links in, calls and FreeBSD 13's libc lacks: with
 * this in the program itself it starts on either. See lib/libc/csu/libc_start1.c there; the
 * run-time linker has run the constructors by now.
 */
#include <stdlib.h>
#include <string.h>

extern char **environ;
extern const char *__progname;

_Noreturn void
__libc_start1(int argc, char *argv[], char *env[], void (*cleanup)(void), int (*mainX)(int, char *[], char *[]))
{
	environ = env;
	if (argc > 0 && argv[0] != NULL) {
		const char *slash = strrchr(argv[0], '/');
		__progname = slash != NULL ? slash + 1 : argv[0];
	}
	if (cleanup != NULL)
		atexit(cleanup);
	exit(mainX(argc, argv, env));
}
