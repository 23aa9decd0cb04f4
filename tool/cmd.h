/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The commands: each a main() of its own, whose result is the exit status. argv[0] is the command's name, e.g. "exeunt stat".
 */
#ifndef EXEUNT_TOOL_CMD_H
#define EXEUNT_TOOL_CMD_H

#define TOOL_VERSION	"1.0"

int cmd_stat(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_record(int argc, char **argv);
int cmd_report(int argc, char **argv);
int cmd_compare(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_export(int argc, char **argv);

#endif
