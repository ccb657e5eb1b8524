/*
 * Makes ioctl() fail in the program that it is preloaded to (LD_PRELOAD).
 *
 *   FAULT_CALL=3           at the third call
 *   FAULT_ALL=             and at all after it
 *   FAULT_RUN='kill $PPID' this is run by sh first
 *   FAULT_ERRNO=5          and the call fails with this errno, instead of being made
 *   FAULT_LOG=path         gets the number of the request
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int first, number;
static const char *all, *command, *error, *log_path;

__attribute__((constructor)) static void
read_environment(void)
{
	const char *call = getenv("FAULT_CALL");

	first = call != NULL ? atoi(call) : 0;
	all = getenv("FAULT_ALL");
	command = getenv("FAULT_RUN");
	error = getenv("FAULT_ERRNO");
	log_path = getenv("FAULT_LOG");
	/* What it runs is to be left alone. */
	unsetenv("LD_PRELOAD");
}

static void
log_request(unsigned long request)
{
	int fd = log_path != NULL ? open(log_path, O_WRONLY | O_CREAT | O_APPEND, 0600) : -1;

	if (fd >= 0) {
		dprintf(fd, "%#lx\n", request);
		close(fd);
	}
}

int
ioctl(int fd, unsigned long request, ...)
{
	static int (*next)(int, unsigned long, void *);
	va_list arguments;
	void *argument;

	va_start(arguments, request);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	if (next == NULL)
		next = (int (*)(int, unsigned long, void *))dlsym(RTLD_NEXT, "ioctl");

	number++;
	if (number == first || (all != NULL && first != 0 && number > first)) {
		log_request(request);
		if (command != NULL)
			(void)system(command);
		if (error != NULL) {
			errno = atoi(error);
			return (-1);
		}
	}
	return (next(fd, request, argument));
}
