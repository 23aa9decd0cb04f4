// SPDX-License-Identifier: GPL-2.0
/*
 * Metrics over HTTP: right answers, and answers at all whatever other clients do. The server is a process of its own.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "serve.h"
#include "util.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define LARGE	(8 << 20)	/* more than sockets hold */

static pid_t child;
static uint16_t port;

/* "failing" in the environment of the server: there is nothing to give. Texts are large, to be read slowly. */
static char *made_up(void *arg, enum metrics_format format, size_t *len)
{
	const bool *failing = arg;
	char *text;

	if (*failing)
		return NULL;
	text = xcalloc(LARGE + 1, 1);
	memset(text, format == METRICS_OPENMETRICS ? 'o' : 'p', LARGE);
	*len = LARGE;
	return text;
}

static void serve_in_child(int out, bool failing)
{
	struct server *server;
	int status;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	dup2(out, STDOUT_FILENO);
	server = serve_open("0");
	if (!server)
		_exit(99);
	status = serve_run(server, made_up, &failing);
	serve_close(server);
	_exit(status);
}

static void start(bool failing)
{
	char url[64] = "";
	int out[2];

	assert_int_equal(pipe(out), 0);
	child = fork();
	assert_true(child >= 0);
	if (!child)
		serve_in_child(out[1], failing);
	close(out[1]);
	assert_true(read(out[0], url, sizeof(url) - 1) > 0);
	close(out[0]);
	assert_int_equal(sscanf(url, "http://127.0.0.1:%hu/metrics\n", &port), 1);
}

static int start_server(void **state)
{
	start(false);
	return 0;
}

/* SIGTERM ends it, whatever is connected, with status 0. */
static int end_server(void **state)
{
	int status;

	kill(child, SIGTERM);
	assert_int_equal(waitpid(child, &status, 0), child);
	return !WIFEXITED(status) || WEXITSTATUS(status);
}

static int connect_client(void)
{
	const struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = { htonl(INADDR_LOOPBACK) } };
	const struct timeval timeout = { .tv_sec = 20 };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	assert_int_equal(connect(fd, (const struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static void say(int fd, const char *words)
{
	assert_int_equal(send(fd, words, strlen(words), MSG_NOSIGNAL), strlen(words));
}

/* All until the server closes; the caller frees it. */
static char *hear(int fd)
{
	size_t room = LARGE + 4096, len = 0;
	char *text = xcalloc(room, 1);
	ssize_t n;

	while ((n = recv(fd, text + len, room - 1 - len, 0)) > 0)
		len += n;
	assert_int_equal(n, 0);
	close(fd);
	return text;
}

static char *ask(const char *request)
{
	int fd = connect_client();

	say(fd, request);
	return hear(fd);
}

#define GET(path, accept) "GET " path " HTTP/1.1\r\nHost: localhost\r\n" accept "\r\n"

static void assert_begins(const char *text, const char *expected)
{
	if (strncmp(text, expected, strlen(expected)))
		fail_msg("not '%s' but '%.60s'", expected, text);
}

static const char *body(const char *answer)
{
	const char *end = strstr(answer, "\r\n\r\n");

	assert_non_null(end);
	return end + 4;
}

/* --- Answers --- */

static void metrics_come_in_the_format_asked_for(void **state)
{
	char *text = ask(GET("/metrics", ""));

	assert_begins(text, "HTTP/1.1 200 OK\r\n");
	assert_non_null(strstr(text, "\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"));
	assert_int_equal(strlen(body(text)), LARGE);
	assert_int_equal(*body(text), 'o');
	free(text);
	text = ask(GET("/metrics", "Accept: text/plain;version=0.0.4\r\n"));
	assert_non_null(strstr(text, "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
	assert_int_equal(*body(text), 'p');
	free(text);
	text = ask(GET("/metrics?name[]=up", ""));
	assert_begins(text, "HTTP/1.1 200 OK\r\n");
	free(text);
}

static void head_has_no_body(void **state)
{
	char *text = ask("HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");

	assert_begins(text, "HTTP/1.1 200 OK\r\n");
	assert_non_null(strstr(text, "\r\nContent-Length: 8388608\r\n"));
	assert_string_equal(body(text), "");
	free(text);
}

static void the_index_leads_to_the_metrics(void **state)
{
	char *text = ask(GET("/", ""));

	assert_begins(text, "HTTP/1.1 200 OK\r\n");
	assert_non_null(strstr(text, "\r\nContent-Type: text/html; charset=utf-8\r\n"));
	assert_non_null(strstr(text, "<a href=\"/metrics\">"));
	free(text);
}

static void other_paths_are_not_found(void **state)
{
	static const char *const requests[] = { GET("/metrics/", ""), GET("/x", ""), GET("/../etc/passwd", ""), GET("//", "") };

	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		char *text = ask(requests[i]);

		assert_begins(text, "HTTP/1.1 404 Not Found\r\n");
		free(text);
	}
}

static void other_methods_are_not_allowed(void **state)
{
	static const char *const methods[] = { "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get" };

	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		char *request = xasprintf("%s /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", methods[i]);
		char *text = ask(request);

		assert_begins(text, "HTTP/1.1 405 Method Not Allowed\r\n");
		assert_non_null(strstr(text, "\r\nAllow: GET, HEAD\r\n"));
		free(text);
		free(request);
	}
}

static void what_cannot_be_read_is_an_error_of_the_server(void **state)
{
	char *text;

	start(true);
	text = ask(GET("/metrics", ""));
	assert_begins(text, "HTTP/1.1 500 ");
	free(text);
	assert_int_equal(end_server(state), 0);
}

/* --- Bad clients --- */

static void assert_alive(void)
{
	uint64_t begun = now_ns();
	char *text = ask(GET("/", ""));

	assert_begins(text, "HTTP/1.1 200 OK\r\n");
	assert_true(now_ns() - begun < 5000000000ull);
	free(text);
}

static void garbage_does_no_harm(void **state)
{
	static const char *const words[] = { "\r\n\r\n", "GARBAGE\r\n\r\n", "GET\r\n\r\n", "GET /metrics HTTP/9.9\r\n\r\n", "\x16\x03\x01\x02",
					     "GET / HTTP/1.1\r\n:\r\n\r\n" };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		int fd = connect_client();

		say(fd, words[i]);
		close(fd);
	}
	assert_alive();
}

static void an_endless_header_is_refused(void **state)
{
	int fd = connect_client();
	char line[1024];
	ssize_t n = 1;

	memset(line, 'x', sizeof(line));
	say(fd, "GET / HTTP/1.1\r\nX: ");
	for (int i = 0; i < 10000 && n > 0; i++)
		n = send(fd, line, sizeof(line), MSG_NOSIGNAL);
	assert_true(n < 0);
	close(fd);
	assert_alive();
}

static void idle_clients_keep_nobody_out(void **state)
{
	int fds[200];

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = connect_client();
		if (i % 2)
			say(fds[i], "GET /metrics HTTP/1.1\r\n");
		if (i % 50 == 49)
			assert_alive();
	}
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	assert_alive();
}

/* Writes a header's bytes one by one, and reads an answer's, for as long as it may: about ten seconds, not for ever. */
static void slow_clients_are_cut_off(void **state)
{
	int writer = connect_client(), reader = connect_client();
	uint64_t begun = now_ns();
	struct pollfd gone = { .fd = writer, .events = POLLIN | POLLRDHUP };
	char *text;

	say(writer, "GET / HTTP/1.1\r\nX: ");
	say(reader, GET("/metrics", ""));
	while (!poll(&gone, 1, 200)) {
		char byte;

		assert_true(now_ns() - begun < 20000000000ull);
		say(writer, "x");
		assert_int_equal(recv(reader, &byte, 1, 0), 1);
		assert_alive();
	}
	assert_true(now_ns() - begun > 5000000000ull);
	close(writer);
	text = xcalloc(LARGE, 1);
	while (recv(reader, text, LARGE, 0) > 0)
		;
	assert_true(now_ns() - begun < 20000000000ull);
	free(text);
	close(reader);
}

static void every_signal_that_asks_for_the_end_ends_it(void **state)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT };
	int status;

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		start(false);
		kill(child, signals[i]);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
	}
}

static void a_signal_that_is_ignored_does_not_end_it(void **state)
{
	signal(SIGHUP, SIG_IGN);
	start(false);
	signal(SIGHUP, SIG_DFL);
	kill(child, SIGHUP);
	for (int i = 0; i < 5; i++)
		free(ask(GET("/", "")));
	assert_int_equal(waitpid(child, NULL, WNOHANG), 0);
	assert_int_equal(end_server(state), 0);
}

static void it_ends_though_clients_are_connected(void **state)
{
	int idle, reader;

	start(false);
	idle = connect_client();
	reader = connect_client();
	say(reader, GET("/metrics", ""));
	say(idle, "GET ");
	assert_int_equal(end_server(state), 0);
	close(idle);
	close(reader);
}

/* --- Addresses --- */

static void addresses_are_checked(void **state)
{
	static const struct { const char *where; bool ok; } cases[] = {
		{ "0", true }, { "9177", true }, { "65535", true }, { "127.0.0.1:80", true }, { "[::1]:80", true }, { "localhost:80", true },
		{ "", false }, { "65536", false }, { "-1", false }, { ":80", false }, { "127.0.0.1", false }, { "::1:80", false },
		{ "[]:80", false }, { "127.0.0.1:", false }, { "127.0.0.1:http", false }, { "0x50", false }, { "80 ", false }, { "[::1]", false },
		{ "]:80", true },	/* a name; there will be no such host */
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (serve_parse(cases[i].where) != cases[i].ok)
			fail_msg("%s", cases[i].where);
	}
}

static void an_address_in_use_is_refused(void **state)
{
	char *where = xasprintf("%u", port);

	assert_null(serve_open(where));
	free(where);
	assert_null(serve_open("203.0.113.1:0"));
	assert_null(serve_open("]:80"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(metrics_come_in_the_format_asked_for, start_server, end_server),
		cmocka_unit_test_setup_teardown(head_has_no_body, start_server, end_server),
		cmocka_unit_test_setup_teardown(the_index_leads_to_the_metrics, start_server, end_server),
		cmocka_unit_test_setup_teardown(other_paths_are_not_found, start_server, end_server),
		cmocka_unit_test_setup_teardown(other_methods_are_not_allowed, start_server, end_server),
		cmocka_unit_test(what_cannot_be_read_is_an_error_of_the_server),
		cmocka_unit_test_setup_teardown(garbage_does_no_harm, start_server, end_server),
		cmocka_unit_test_setup_teardown(an_endless_header_is_refused, start_server, end_server),
		cmocka_unit_test_setup_teardown(idle_clients_keep_nobody_out, start_server, end_server),
		cmocka_unit_test_setup_teardown(slow_clients_are_cut_off, start_server, end_server),
		cmocka_unit_test(every_signal_that_asks_for_the_end_ends_it),
		cmocka_unit_test(a_signal_that_is_ignored_does_not_end_it),
		cmocka_unit_test(it_ends_though_clients_are_connected),
		cmocka_unit_test(addresses_are_checked),
		cmocka_unit_test_setup_teardown(an_address_in_use_is_refused, start_server, end_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
