/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Metrics over HTTP, for Prometheus and its kin, until a signal asks for the end, see ending_signals(). One thread that waits for nobody: a
 * client has ten seconds, from connecting to the answer's last byte.
 */
#ifndef EXEUNT_TOOL_SERVE_H
#define EXEUNT_TOOL_SERVE_H

#include "metrics.h"

/* The metrics now, as metrics_text() has them; NULL if they cannot be read. */
typedef char *(*serve_text)(void *arg, enum metrics_format format, size_t *len);

struct server;

/*
 * Listens at @where: PORT or ADDRESS:PORT, [ADDRESS]:PORT for IPv6; without an address, loopback. Port 0: any that is free. NULL with
 * a line on standard error if that cannot be. Warns of an address that is not loopback's: whoever reaches it may read.
 */
struct server *serve_open(const char *where);
/* Prints the metrics' URL on standard output, and serves until a signal asks for the end. Exit status. */
int serve_run(struct server *server, serve_text text, void *arg);
void serve_close(struct server *server);

/* Is @where well-formed? */
bool serve_parse(const char *where);

#endif
