// SPDX-License-Identifier: GPL-2.0
/*
 * See serve.h. HTTP is libmicrohttpd's; owned here are the socket, the few pages there are, the signals, and the time that a client has.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include "serve.h"
#include "util.h"

#define CONNECTIONS		32		/* at a time */
#define CONNECTION_NS		(10 * 1000000000ull)
#define CONNECTION_MEMORY	(16 << 10)	/* for a request's header */
#define TICK_MS			500		/* between looks for connections that are too old */

struct server {
	int socket;
	char *url;
	struct MHD_Daemon *daemon;
	serve_text text;
	void *arg;
	bool closed;			/* a connection was, in this run of the daemon */
	struct open_connection {
		bool used;
		int fd;
		uint64_t begun_ns;
	} open[CONNECTIONS];
};

/* --- The address --- */

/* Splits ADDRESS:PORT; false if it is none. @address has room for @where; it is empty where there is none. */
static bool split(const char *where, char *address, const char **port)
{
	const char *colon = strrchr(where, ':');
	size_t len = colon ? colon - where : 0;
	uint64_t number;

	*port = colon ? colon + 1 : where;
	if (colon && !len)
		return false;
	if (len > 1 && where[0] == '[' && where[len - 1] == ']') {
		where++;
		len -= 2;
	} else if (memchr(where, ':', len)) {
		return false;
	}
	memcpy(address, where, len);
	address[len] = '\0';
	return parse_number(*port, 0, 65535, &number) && strspn(*port, "0123456789") == strlen(*port) && (!colon || len);
}

bool serve_parse(const char *where)
{
	char *address = xcalloc(strlen(where) + 1, 1);
	const char *port;
	bool ok = split(where, address, &port);

	free(address);
	return ok;
}

static bool is_loopback(const struct sockaddr *a)
{
	const struct in6_addr *six = &((const struct sockaddr_in6 *)a)->sin6_addr;

	if (a->sa_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr) >> 24 == 127;
	return IN6_IS_ADDR_LOOPBACK(six) || (IN6_IS_ADDR_V4MAPPED(six) && six->s6_addr[12] == 127);
}

static int listen_at(const struct addrinfo *info)
{
	int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (!bind(fd, info->ai_addr, info->ai_addrlen) && !listen(fd, SOMAXCONN))
		return fd;
	on = errno;
	close(fd);
	errno = on;
	return -1;
}

/* The socket's own address and port: the port may have been the kernel's choice. */
static char *url_of(int fd)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);
	char host[NI_MAXHOST], port[NI_MAXSERV];
	bool six;

	if (getsockname(fd, (struct sockaddr *)&a, &len) ||
	    getnameinfo((struct sockaddr *)&a, len, host, sizeof(host), port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV))
		return xstrdup("http://?");
	six = a.ss_family == AF_INET6;
	return xasprintf("http://%s%s%s:%s", six ? "[" : "", host, six ? "]" : "", port);
}

static int open_socket(const char *where)
{
	const struct addrinfo hints = { .ai_flags = AI_NUMERICSERV, .ai_socktype = SOCK_STREAM };
	char *address = xcalloc(strlen(where) + 1, 1);
	struct addrinfo *info;
	const char *port;
	int fd = -1, error;

	if (!split(where, address, &port)) {
		complain("'%s' is no address and port", where);
		goto out;
	}
	error = getaddrinfo(*address ? address : "127.0.0.1", port, &hints, &info);
	if (error) {
		complain("cannot listen at %s: %s", where, gai_strerror(error));
		goto out;
	}
	fd = listen_at(info);
	if (fd < 0)
		complain("cannot listen at %s: %s", where, strerror(errno));
	else if (!is_loopback(info->ai_addr))
		complain("warning: %s is not loopback, and there is no authentication: whoever reaches it may read the metrics", where);
	freeaddrinfo(info);
out:
	free(address);
	return fd;
}

struct server *serve_open(const char *where)
{
	int fd = open_socket(where);
	struct server *server;

	if (fd < 0)
		return NULL;
	server = xcalloc(1, sizeof(*server));
	server->socket = fd;
	server->url = url_of(fd);
	return server;
}

/* --- Pages --- */

#define TYPE_TEXT	"text/plain; charset=utf-8"

/* Takes @body. */
static enum MHD_Result answer(struct MHD_Connection *connection, unsigned int status, const char *type, char *body, size_t len)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(len, body, MHD_RESPMEM_MUST_FREE);
	enum MHD_Result result;

	if (!response) {
		free(body);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	MHD_add_response_header(response, MHD_HTTP_HEADER_VARY, "Accept");
	/* One request to a connection: its time counts from its beginning. */
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result answer_words(struct MHD_Connection *connection, unsigned int status, const char *type, const char *words)
{
	return answer(connection, status, type, xstrdup(words), strlen(words));
}

static enum MHD_Result answer_metrics(struct server *server, struct MHD_Connection *connection)
{
	enum metrics_format format = metrics_preferred(MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT));
	size_t len;
	char *text = server->text(server->arg, format, &len);

	if (!text)
		return answer_words(connection, MHD_HTTP_INTERNAL_SERVER_ERROR, TYPE_TEXT, "The statistics cannot be read.\n");
	return answer(connection, MHD_HTTP_OK, metrics_content_type(format), text, len);
}

static enum MHD_Result take_request(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
				    const char *version, const char *upload, size_t *upload_len, void **state)
{
	static const char index[] = "<!DOCTYPE html><html lang=\"en\"><title>Exeunt</title>"
				    "<p>Exit statistics of virtual machines: <a href=\"/metrics\">metrics</a></html>\n";

	if (strcmp(method, MHD_HTTP_METHOD_GET) && strcmp(method, MHD_HTTP_METHOD_HEAD))
		return answer_words(connection, MHD_HTTP_METHOD_NOT_ALLOWED, TYPE_TEXT, "Only GET and HEAD.\n");
	if (!strcmp(url, "/metrics"))
		return answer_metrics(arg, connection);
	if (!strcmp(url, "/"))
		return answer_words(connection, MHD_HTTP_OK, "text/html; charset=utf-8", index);
	return answer_words(connection, MHD_HTTP_NOT_FOUND, TYPE_TEXT, "There is /metrics.\n");
}

/* --- Connections --- */

/* Ends it; MHD finds out, and closes it. */
static void cut(const struct open_connection *open)
{
	shutdown(open->fd, SHUT_RDWR);
}

/* When every place is taken the oldest connection goes: whoever holds many, idle, keeps nobody else out. */
static void make_room(struct server *server)
{
	const struct open_connection *oldest = &server->open[0];

	for (size_t i = 0; i < CONNECTIONS; i++) {
		if (!server->open[i].used)
			return;
		if (server->open[i].begun_ns < oldest->begun_ns)
			oldest = &server->open[i];
	}
	cut(oldest);
}

static void connection_opened(struct server *server, struct MHD_Connection *connection, void **context)
{
	size_t i = 0;

	while (i < CONNECTIONS && server->open[i].used)
		i++;
	if (i == CONNECTIONS)
		return;
	server->open[i] = (struct open_connection){
		.used = true,
		.fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd,
		.begun_ns = now_ns(),
	};
	*context = &server->open[i];
	make_room(server);
}

static void connection_changed(void *arg, struct MHD_Connection *connection, void **context, enum MHD_ConnectionNotificationCode code)
{
	struct server *server = arg;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		connection_opened(server, connection, context);
		return;
	}
	server->closed = true;
	if (*context)
		((struct open_connection *)*context)->used = false;
}

/* A client may send, or take, a byte now and then for ever: then no time-out of inactivity ends it. */
static void end_old_connections(struct server *server)
{
	uint64_t now = now_ns();

	for (size_t i = 0; i < CONNECTIONS; i++) {
		if (server->open[i].used && now - server->open[i].begun_ns > CONNECTION_NS)
			cut(&server->open[i]);
	}
}

static bool has_connections(const struct server *server)
{
	for (size_t i = 0; i < CONNECTIONS; i++) {
		if (server->open[i].used)
			return true;
	}
	return false;
}

/* --- Serving --- */

static bool start(struct server *server)
{
	server->daemon = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, take_request, server,
					  MHD_OPTION_LISTEN_SOCKET, server->socket,
					  MHD_OPTION_CONNECTION_LIMIT, (unsigned int)CONNECTIONS,
					  MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)(CONNECTION_NS / 1000000000),
					  MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
					  MHD_OPTION_NOTIFY_CONNECTION, connection_changed, server,
					  MHD_OPTION_END);
	if (!server->daemon)
		complain("cannot start the HTTP server");
	return server->daemon;
}

/* Milliseconds until there may be something to do without anything having happened; -1: never. */
static int next_tick(const struct server *server)
{
	MHD_UNSIGNED_LONG_LONG timeout;
	int tick = has_connections(server) ? TICK_MS : -1;

	if (MHD_get_timeout(server->daemon, &timeout) == MHD_YES && (tick < 0 || timeout < (unsigned int)tick))
		return timeout;
	return tick;
}

/* With all connections taken, the daemon does not listen until the run after one was closed. */
static void run(struct server *server)
{
	do {
		server->closed = false;
		MHD_run(server->daemon);
	} while (server->closed);
}

/* Until there is a signal. */
static void loop(struct server *server, int signals)
{
	struct pollfd fds[] = {
		{ .fd = signals, .events = POLLIN },
		{ .fd = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd, .events = POLLIN },
	};

	while (!fds[0].revents) {
		if (poll(fds, 2, next_tick(server)) < 0)
			die(STATUS_FAILED, "cannot wait for clients: %s", strerror(errno));
		run(server);
		end_old_connections(server);
	}
}

static void announce(const struct server *server)
{
	printf("%s/metrics\n", server->url);
	fflush(stdout);
}

int serve_run(struct server *server, serve_text text, void *arg)
{
	struct signalfd_siginfo signal;
	sigset_t set, before;
	int signals;

	ending_signals(&set);
	sigprocmask(SIG_BLOCK, &set, &before);
	signals = signalfd(-1, &set, SFD_CLOEXEC);
	if (signals < 0)
		die(STATUS_FAILED, "cannot wait for signals: %s", strerror(errno));
	server->text = text;
	server->arg = arg;
	if (start(server)) {
		announce(server);
		loop(server, signals);
	}
	/* Taken, so that it does nothing more when it is let through again. */
	if (server->daemon && read(signals, &signal, sizeof(signal)) < 0)
		complain("cannot read the signal: %s", strerror(errno));
	close(signals);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return server->daemon ? 0 : STATUS_FAILED;
}

void serve_close(struct server *server)
{
	if (server->daemon)
		MHD_stop_daemon(server->daemon);	/* closes the socket, too */
	else
		close(server->socket);
	free(server->url);
	free(server);
}
