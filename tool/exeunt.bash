# SPDX-License-Identifier: GPL-2.0
# Completion of `exeunt` for bash: commands, options and what they take, virtual machines by process and by name, recordings,
# operations.
# Needs nothing of the bash-completion package; where that is loaded, the arguments of COMMAND are completed as it does. To try it:
#	source tool/exeunt.bash

# Sets OPTIONS to the options of command $1.
_exeunt_options() {
	local help='--help --usage -V --version'
	local target='-p --pid --vm --vcpu --engine'
	local sections='--msr --pio --mmio --hypercall --ipi --irq --fpu --user'

	case $1 in
	stat) OPTIONS="$target $sections -I --interval --json -o --output $help" ;;
	top) OPTIONS="$target -d --delay -n --iterations -b --batch $help" ;;
	record) OPTIONS="$target -I --interval -o --output -q --quiet $help" ;;
	report) OPTIONS="$target $sections --html --json -o --output $help" ;;
	compare) OPTIONS="--msr --pio --mmio --hypercall --vm --vcpu --confidence --sort -v --verbose --json $help" ;;
	bench) OPTIONS="--device -n --samples -c --vcpus --cpu-list --no-pin --timeout --json --list $help" ;;
	export) OPTIONS="$target -o --output -I --interval --listen --format --per-vm --max-series --keep-ended $help" ;;
	*) OPTIONS= ;;
	esac
}

# Does the option $1 take an argument?
_exeunt_takes_argument() {
	case $1 in
	-[pIodnc] | --pid | --vm | --vcpu | --engine | --interval | --output | --delay | --iterations) ;;
	--html | --confidence | --sort | --listen | --format | --max-series | --keep-ended) ;;
	--device | --samples | --vcpus | --cpu-list | --timeout) ;;
	*) return 1 ;;
	esac
}

# Does the command $1 run another command, so that the first word which is no option begins that?
_exeunt_runs_command() {
	[[ $1 == @(stat|record|export) ]]
}

# --- What can be completed: each adds to COMPREPLY ---

# Those of the words after $1 that begin with $1; quoted as a shell wants it, unless $1 is within quotes already.
_exeunt_words() {
	local begin=${1#[\'\"]} word

	[ "$begin" != "$1" ] || begin=${begin//\\/}
	for word in "${@:2}"; do
		[[ $word == "$begin"* ]] || continue
		[[ $1 == [\'\"]* ]] || word=$(printf %q "$word")
		COMPREPLY+=("$word")
	done
}

_exeunt_files() {
	compopt -o filenames 2>/dev/null
	mapfile -t COMPREPLY < <(compgen -f -- "$1")
}

# JSON files, and directories on the way to one; whatever is there if there is neither.
_exeunt_recordings() {
	compopt -o filenames 2>/dev/null
	mapfile -t COMPREPLY < <(compgen -f -X '!*.json' -- "$1"; compgen -d -- "$1")
	[ ${#COMPREPLY[@]} -gt 0 ] || _exeunt_files "$1"
}

# Sets PIDS to processes that have virtual machines: by their descriptors, where one may look, and by QEMU's name.
_exeunt_pids() {
	local file arguments

	mapfile -t PIDS < <(find /proc/[0-9]*/fd -maxdepth 1 -lname anon_inode:kvm-vm 2>/dev/null | cut -d/ -f3 | sort -nu)
	for file in /proc/[0-9]*/cmdline; do
		mapfile -d '' -t -n 1 arguments 2>/dev/null <"$file" || continue
		file=${file#/proc/}
		file=${file%/cmdline}
		[[ ${arguments-} != ?(*/)qemu-@(system-*|kvm) || " ${PIDS[*]} " == *" $file "* ]] || PIDS+=("$file")
	done
}

# Sets NAME to what the argument $1 of QEMU's -name calls its guest, which is "X,process=Y" or "process=Y,guest=X", ",," being a comma.
_exeunt_guest() {
	local items i

	IFS=, read -r -a items <<<"${1//,,/$'\1'}"
	for i in "${!items[@]}"; do
		case ${items[i]} in
		guest=*) NAME=${items[i]#guest=} ;;
		*=*) ;;
		*) [ "$i" -gt 0 ] || NAME=${items[i]} ;;
		esac
	done
	NAME=${NAME//$'\1'/,}
}

# Sets NAME to the name of the virtual machine of process $1.
_exeunt_name() {
	local arguments i

	NAME=
	mapfile -d '' -t arguments 2>/dev/null <"/proc/$1/cmdline"
	for ((i = 0; i + 1 < ${#arguments[@]}; i++)); do
		[[ ${arguments[i]} != ?(-)-name ]] || _exeunt_guest "${arguments[i + 1]}"
	done
	[ -n "$NAME" ] || read -r NAME 2>/dev/null <"/proc/$1/comm"
}

_exeunt_vms() {
	local PIDS NAME pid names=()

	_exeunt_pids
	for pid in "${PIDS[@]}"; do
		_exeunt_name "$pid"
		[ -z "$NAME" ] || names+=("$NAME")
	done
	_exeunt_words "$1" "${names[@]}"
}

# Operations of `exeunt bench`, as the command $1 lists them.
_exeunt_operations() {
	local names

	mapfile -t names < <("$1" bench --list 2>/dev/null | sed -n 's/^  \([a-z0-9_]*\) .*/\1/p')
	_exeunt_words "$2" "${names[@]}"
}

# --- Where one is on the line ---

# What the option $1 takes, beginning with $2.
_exeunt_argument() {
	local PIDS

	case $1 in
	-p | --pid)
		_exeunt_pids
		_exeunt_words "$2" "${PIDS[@]}"
		;;
	--vm) _exeunt_vms "$2" ;;
	--engine) _exeunt_words "$2" auto exeunt kvm ;;
	--format) _exeunt_words "$2" openmetrics prometheus ;;
	--sort) _exeunt_words "$2" rate time share change p name ;;
	-o | --output | --html | --device) _exeunt_files "$2" ;;
	esac
}

# The command whose first word is number $1 on the line, and its arguments.
_exeunt_command() {
	local begin=${COMP_WORDS[COMP_CWORD]}

	if declare -F _command_offset >/dev/null; then
		_command_offset "$1"
	elif declare -F _comp_command_offset >/dev/null; then
		_comp_command_offset "$1"
	elif [ "$1" -eq "$COMP_CWORD" ] && [[ $begin != */* ]]; then
		mapfile -t COMPREPLY < <(compgen -c -- "$begin" | sort -u)
	else
		_exeunt_files "$begin"
	fi
}

# What stands on the line before its last word. Sets OPTION to the option that this word is to be the argument of, and FIRST to the number of
# the word where options end: after "--", or, of a command $1 that runs another one, where that begins.
_exeunt_parse() {
	local i word

	OPTION='' FIRST=''
	for ((i = 2; i < COMP_CWORD && !FIRST; i++)); do
		word=${COMP_WORDS[i]}
		if [ -n "$OPTION" ]; then
			[ "$word" = = ] || OPTION=
		elif [ "$word" = -- ]; then
			FIRST=$((i + 1))
		elif [[ $word == -?* ]]; then
			! _exeunt_takes_argument "$word" || OPTION=$word
		elif _exeunt_runs_command "$1"; then
			FIRST=$i
		fi
	done
}

# What is neither an option nor an option's argument, beginning with $2, of command $1.
_exeunt_other() {
	if _exeunt_runs_command "$1"; then
		_exeunt_command "${FIRST:-$COMP_CWORD}"
	elif [[ $1 == @(report|compare) ]]; then
		_exeunt_recordings "$2"
	elif [ "$1" = bench ]; then
		_exeunt_operations "${COMP_WORDS[0]}" "$2"
	fi
}

# What follows the name of the command $1.
_exeunt_of_command() {
	local begin=${COMP_WORDS[COMP_CWORD]} OPTIONS OPTION FIRST

	_exeunt_options "$1"
	_exeunt_parse "$1"
	if [ -n "$OPTION" ]; then
		_exeunt_argument "$OPTION" "${begin#=}"
	elif [[ -z $FIRST && $begin == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$OPTIONS" -- "$begin")
	elif [ -z "$FIRST$begin" ] && _exeunt_runs_command "$1"; then
		mapfile -t COMPREPLY < <(compgen -W "$OPTIONS --")
	else
		_exeunt_other "$1" "$begin"
	fi
}

_exeunt() {
	local begin=${COMP_WORDS[COMP_CWORD]} commands='stat top record report compare bench export'

	COMPREPLY=()
	if [ "$COMP_CWORD" -eq 1 ]; then
		mapfile -t COMPREPLY < <(compgen -W "$commands help -h --help -V --version" -- "$begin")
	elif [ "${COMP_WORDS[1]}" != help ]; then
		_exeunt_of_command "${COMP_WORDS[1]}"
	elif [ "$COMP_CWORD" -eq 2 ]; then
		mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$begin")
	fi
}

complete -F _exeunt exeunt
