// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of the names: of exit reasons against the kernel's own headers, of details, and of VMs.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/kvm.h>
#include "bpf/exits.h"
#include "model.h"
#include "names.h"
#include "vmname.h"

struct number_and_name {
	unsigned int number;
	const char *name;
};

/* --- Exit reasons --- */

#if defined(__x86_64__)
#include <asm/svm.h>
#include <asm/vmx.h>

/* The header of the SVM exit codes names exceptions by these, which the kernel's asm/kvm.h has. */
static const struct number_and_name svm_header[] = { SVM_EXIT_REASONS }, vmx_header[] = { VMX_EXIT_REASONS };

static void check_header(uint32_t isa, const struct number_and_name *header, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned int reason = header[i].number == UINT32_MAX ? EXEUNT_REASON_INVALID : header[i].number;

		if (reason > 0xfff)	/* what a guest of SEV-ES asks for is in no exit code */
			continue;
		assert_non_null(exit_reason_name(isa, reason));
		assert_string_equal(exit_reason_name(isa, reason), header[i].name);
	}
}

static void exit_reasons_are_called_as_in_the_kernels_headers(void **state)
{
	check_header(ISA_SVM, svm_header, sizeof(svm_header) / sizeof(svm_header[0]));
	check_header(ISA_VMX, vmx_header, sizeof(vmx_header) / sizeof(vmx_header[0]));
}
#else
static void exit_reasons_are_called_as_in_the_kernels_headers(void **state)
{
	skip();
}
#endif

static void exit_reasons_of_each_isa_are_its_own(void **state)
{
	assert_string_equal(exit_reason_name(ISA_SVM, 0x7c), "msr");
	assert_string_equal(exit_reason_name(ISA_SVM, 0x81), "hypercall");
	assert_string_equal(exit_reason_name(ISA_VMX, 32), "MSR_WRITE");
	assert_string_equal(exit_reason_name(ISA_VMX, 12), "HLT");
	assert_string_equal(exit_reason_name(ISA_VMX, 43), "TPR_BELOW_THRESHOLD");
	assert_string_equal(exit_reason_name(ISA_ARM64, 0x01), "WFx");
	assert_string_equal(exit_reason_name(ISA_ARM64, 0x24), "DABT_LOW");
	assert_string_equal(exit_reason_name(ISA_ARM64, EXITS_ARM64_OTHER), "IRQ");
}

static void unknown_reasons_and_isas_are_numbers(void **state)
{
	char buf[16];

	assert_null(exit_reason_name(ISA_SVM, 0x7ab));
	assert_null(exit_reason_name(ISA_SVM, 0x404));
	assert_null(exit_reason_name(ISA_VMX, 17 + 0x100));
	assert_null(exit_reason_name(ISA_UNKNOWN, 0x7c));
	assert_null(exit_reason_name(4, 0x7c));
	assert_string_equal(exit_name(4, 0x7c, buf, sizeof(buf)), "0x7c");
	assert_string_equal(exit_name(ISA_SVM, 0x7ab, buf, sizeof(buf)), "0x7ab");
	assert_string_equal(exit_name(ISA_SVM, EXEUNT_REASON_LOST, buf, sizeof(buf)), "others");
	assert_string_equal(exit_name(9, EXEUNT_REASON_LOST, buf, sizeof(buf)), "others");
	assert_string_equal(exit_name(9, EXITS_REASON_LARGE, buf, sizeof(buf)), ">=0xffd");
}

static void no_number_is_out_of_bounds(void **state)
{
	char buf[64];

	for (uint32_t isa = 0; isa < 6; isa++) {
		for (unsigned int reason = 0; reason < 0x1100; reason++)
			assert_true(*exit_name(isa, reason, buf, sizeof(buf)));
	}
	for (unsigned int i = 0; i < 1000; i++) {
		user_exit_name(i);
		hypercall_name(i);
		assert_non_null(delivery_mode_name(i));
		assert_true(*exception_name(i, buf, sizeof(buf)));
		isa_name(i);
	}
	assert_null(isa_name(UINT32_MAX));
	assert_null(hypercall_name(UINT32_MAX));
}

static void isas_have_words(void **state)
{
	assert_null(isa_name(ISA_UNKNOWN));
	assert_string_equal(isa_name(ISA_VMX), "vmx");
	assert_string_equal(isa_name(ISA_SVM), "svm");
	assert_string_equal(isa_name(ISA_ARM64), "arm64");
	assert_null(isa_name(4));
}

/* --- Exits to user space, interrupts --- */

static void user_exits_are_called_as_in_linux_kvm_h(void **state)
{
#define SAME(name) assert_string_equal(user_exit_name(name), #name)
	SAME(KVM_EXIT_UNKNOWN);
	SAME(KVM_EXIT_IO);
	SAME(KVM_EXIT_HLT);
	SAME(KVM_EXIT_MMIO);
	SAME(KVM_EXIT_IRQ_WINDOW_OPEN);
	SAME(KVM_EXIT_INTR);
	SAME(KVM_EXIT_SET_TPR);
	SAME(KVM_EXIT_NMI);
	SAME(KVM_EXIT_INTERNAL_ERROR);
	SAME(KVM_EXIT_WATCHDOG);
	SAME(KVM_EXIT_SYSTEM_EVENT);
	SAME(KVM_EXIT_IOAPIC_EOI);
	SAME(KVM_EXIT_X86_WRMSR);
	SAME(KVM_EXIT_DIRTY_RING_FULL);
	SAME(KVM_EXIT_XEN);
	SAME(KVM_EXIT_RISCV_SBI);
	SAME(KVM_EXIT_NOTIFY);
	assert_string_equal(user_exit_name(EXEUNT_USER_OTHER), "other reason");
	assert_string_equal(user_exit_name(EXEUNT_USER_ERROR), "error");
	assert_string_equal(user_exit_name(EXEUNT_USER_IMMEDIATE), "immediate_exit");
	assert_null(user_exit_name(60));
}

static void interrupts_and_exceptions_have_the_manuals_names(void **state)
{
	char buf[16];

	assert_string_equal(delivery_mode_name(0), "fixed");
	assert_string_equal(delivery_mode_name(4), "NMI");
	assert_string_equal(delivery_mode_name(5), "INIT");
	assert_string_equal(delivery_mode_name(6), "SIPI");
	assert_string_equal(exception_name(14, buf, sizeof(buf)), "#PF");
	assert_string_equal(exception_name(29, buf, sizeof(buf)), "#VC");
	assert_string_equal(exception_name(9, buf, sizeof(buf)), "9");
	assert_string_equal(exception_name(31, buf, sizeof(buf)), "31");
}

/* --- MSRs and other details --- */

static void msrs_have_the_manuals_names(void **state)
{
	assert_string_equal(msr_name(0x10), "TSC");
	assert_string_equal(msr_name(0x6e0), "TSC_DEADLINE");
	assert_string_equal(msr_name(0x830), "x2APIC_ICR");
	assert_string_equal(msr_name(0x817), "x2APIC_ISR7");
	assert_string_equal(msr_name(0x203), "MTRRphysMask1");
	assert_string_equal(msr_name(0x409), "MC2_STATUS");
	assert_string_equal(msr_name(0xc0000080), "EFER");
	assert_string_equal(msr_name(0xc0010203), "PERF_CTR1");
	assert_string_equal(msr_name(0x4b564d01), "KVM_SYSTEM_TIME_NEW");
	assert_null(msr_name(0x12345));
}

static const char *named(uint32_t isa, enum exeunt_kind kind, uint64_t detail)
{
	static char buf[48];

	return detail_name(isa, EXEUNT_KEY(0x7c, kind, EXEUNT_USER, detail), buf, sizeof(buf));
}

static void details_say_direction_number_and_name(void **state)
{
	assert_string_equal(named(ISA_SVM, EXEUNT_MSR_READ, 0x80b), "rd 0x80b x2APIC_EOI");
	assert_string_equal(named(ISA_SVM, EXEUNT_MSR_WRITE, 0x12345), "wr 0x12345");
	assert_string_equal(named(ISA_VMX, EXEUNT_MSR_WRITE, 0xc0000302), "wr 0xc0000302 PERF_CNTR_GLOBAL_STATUS_CLR");
	assert_string_equal(named(ISA_UNKNOWN, EXEUNT_MSR_READ, 0x10), "rd 0x10");
	assert_string_equal(named(ISA_SVM, EXEUNT_PIO_IN, 0x60), "in 0x60");
	assert_string_equal(named(ISA_SVM, EXEUNT_PIO_OUT, 0x3f8), "out 0x3f8");
	assert_string_equal(named(ISA_SVM, EXEUNT_MMIO_READ, 0xfee00), "rd 0xfee00xxx");
	assert_string_equal(named(ISA_ARM64, EXEUNT_MMIO_WRITE, 0x9000), "wr 0x9000xxx");
	assert_string_equal(named(ISA_SVM, EXEUNT_HYPERCALL, 10), "KVM_HC_SEND_IPI");
	assert_string_equal(named(ISA_SVM, EXEUNT_HYPERCALL, 99), "0x63");
	assert_string_equal(named(ISA_SVM, EXEUNT_HYPERCALL, UINT32_MAX), ">=0xffffffff");
	assert_string_equal(named(ISA_ARM64, EXEUNT_HYPERCALL, 10), "0xa");
	assert_string_equal(named(ISA_SVM, EXEUNT_PLAIN, 0), "");
	assert_string_equal(named(ISA_SVM, EXEUNT_KINDS, 5), "0x5");
}

static void what_found_no_row_is_called_others(void **state)
{
	assert_string_equal(named(ISA_SVM, EXEUNT_MSR_READ, EXEUNT_DETAIL_OTHERS), "rd others");
	assert_string_equal(named(ISA_SVM, EXEUNT_PIO_OUT, EXEUNT_DETAIL_OTHERS), "out others");
	assert_string_equal(named(ISA_SVM, EXEUNT_MMIO_WRITE, EXEUNT_DETAIL_OTHERS), "wr others");
	assert_string_equal(named(ISA_SVM, EXEUNT_HYPERCALL, EXEUNT_DETAIL_OTHERS), "others");
	assert_string_equal(named(ISA_SVM, EXEUNT_PLAIN, EXEUNT_DETAIL_OTHERS), "others");
}

static void names_are_cut_to_their_room(void **state)
{
	char buf[8];

	assert_string_equal(detail_name(ISA_SVM, EXEUNT_KEY(0x7c, EXEUNT_MSR_READ, 0, 0xc0000302), buf, sizeof(buf)), "rd 0xc0");
}

/* --- Names of VMs --- */

/* @words: NUL-terminated words, the last one followed by another NUL. */
static void check_qemu(const char *words, const char *name)
{
	char got[64];
	size_t len = 0;

	while (words[len])
		len += strlen(words + len) + 1;
	qemu_name(got, sizeof(got), words, len);
	assert_string_equal(got, name);
}

static void qemu_says_the_guests_name(void **state)
{
	check_qemu("qemu\0-name\0web\0-m\0001G\0", "web");
	check_qemu("qemu\0-name\0web,process=x\0", "web");
	check_qemu("qemu\0-name\0guest=web,debug-threads=on\0", "web");
	check_qemu("qemu\0-name\0debug-threads=on,guest=web\0", "web");
	check_qemu("qemu\0--name\0web\0", "web");
	check_qemu("qemu\0-name\0a,,b\0", "a,b");
	check_qemu("qemu\0-name\0guest=a,,b,,,process=x\0", "a,b,");
	check_qemu("qemu\0-name\0process=x\0", "");
	check_qemu("qemu\0-m\0001G\0", "");
	check_qemu("qemu\0-name\0", "");
	check_qemu("", "");
	check_qemu("qemu\0-name\0a\nb\033[31m\0", "a?b?[31m");
	check_qemu("qemu\0-name\0\0", "");
}

static void names_are_clean(void **state)
{
	char got[64];

	name_clean(got, sizeof(got), "a\tb\177c");
	assert_string_equal(got, "a?b?c");
	name_clean(got, sizeof(got), "gr\303\274n \342\202\254 \360\237\230\200");
	assert_string_equal(got, "gr\303\274n \342\202\254 \360\237\230\200");
	name_clean(got, sizeof(got), "\302\233[31m");			/* CSI in one character */
	assert_string_equal(got, "??[31m");
	name_clean(got, sizeof(got), "\300\200\355\240\200\364\220\200\200\370");	/* overlong, surrogate, too large, no lead */
	assert_string_equal(got, "??????????");
	name_clean(got, sizeof(got), "\342\202");			/* ends too soon */
	assert_string_equal(got, "??");
	name_clean(got, sizeof(got), "a\342\200\250\342\200\256b\342\201\246\342\201\251");	/* LINE SEPARATOR, RLO, LRI, PDI */
	assert_string_equal(got, "a??????b??????");
	name_clean(got, sizeof(got), "\342\200\247\342\200\257\342\201\245\342\201\252");		/* their neighbours */
	assert_string_equal(got, "\342\200\247\342\200\257\342\201\245\342\201\252");
	name_clean(got, 4, "ab\303\274");				/* no half of a character */
	assert_string_equal(got, "ab");
	name_clean(got, 5, "ab\303\274");
	assert_string_equal(got, "ab\303\274");
}

/* A cat with these arguments, that runs, until its standard input ends. */
static pid_t start(char **argv, int *input)
{
	int in[2], out[2];
	char byte = 'x';
	pid_t child;

	assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC), 0);
	child = fork();
	if (!child) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		execv("/bin/cat", argv);
		_exit(1);
	}
	close(in[0]);
	close(out[1]);
	assert_int_equal(write(in[1], &byte, 1), 1);
	assert_int_equal(read(out[0], &byte, 1), 1);
	close(out[0]);
	*input = in[1];
	return child;
}

static void vm_is_called_as_its_process_says(void **state)
{
	char *argv[] = { "qemu-system-x86_64", "--", "-", "-name", "guest=web", NULL }, name[64];
	int input;
	pid_t child = start(argv, &input);

	vm_name(name, sizeof(name), child, "comm");
	assert_string_equal(name, "web");
	close(input);
	waitpid(child, NULL, 0);
}

static void vm_without_a_name_is_called_as_its_process(void **state)
{
	char *argv[] = { "cat", "-", NULL }, name[64];
	int input;
	pid_t child = start(argv, &input);

	vm_name(name, sizeof(name), child, "com\nm");
	assert_string_equal(name, "com?m");
	vm_name(name, sizeof(name), child, NULL);
	assert_string_equal(name, "cat");
	vm_name(name, sizeof(name), child, "");
	assert_string_equal(name, "cat");
	close(input);
	waitpid(child, NULL, 0);
	vm_name(name, sizeof(name), child, NULL);
	assert_string_equal(name, "?");
	vm_name(name, sizeof(name), 0, "comm");
	assert_string_equal(name, "comm");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(exit_reasons_are_called_as_in_the_kernels_headers),
		cmocka_unit_test(exit_reasons_of_each_isa_are_its_own),
		cmocka_unit_test(unknown_reasons_and_isas_are_numbers),
		cmocka_unit_test(no_number_is_out_of_bounds),
		cmocka_unit_test(isas_have_words),
		cmocka_unit_test(user_exits_are_called_as_in_linux_kvm_h),
		cmocka_unit_test(interrupts_and_exceptions_have_the_manuals_names),
		cmocka_unit_test(msrs_have_the_manuals_names),
		cmocka_unit_test(details_say_direction_number_and_name),
		cmocka_unit_test(what_found_no_row_is_called_others),
		cmocka_unit_test(names_are_cut_to_their_room),
		cmocka_unit_test(qemu_says_the_guests_name),
		cmocka_unit_test(names_are_clean),
		cmocka_unit_test(vm_is_called_as_its_process_says),
		cmocka_unit_test(vm_without_a_name_is_called_as_its_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
