// SPDX-License-Identifier: GPL-2.0
/*
 * SVM on the host's CPUs (APM vol. 2, 15.4 and 15.30.4). Owns struct host_cpu_state and EFER.SVME: on while at least one VM
 * exists, so that another hypervisor can have the CPU when we have no use for it.
 */
#include <linux/cc_platform.h>
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/irq_work.h>
#include <linux/mutex.h>
#include <linux/reboot.h>
#include <linux/syscore_ops.h>
#include <linux/slab.h>
#include "host.h"
#include "x86/svm/asid.h"
#include "vendor.h"
#include "hardware.h"

#define VM_CR_SVMDIS	(1ull << 4)

DEFINE_PER_CPU(struct host_cpu_state, host_cpu_state);
static DEFINE_PER_CPU(struct asid_cpu, asid_cpu);

static void nothing(struct irq_work *work)
{
}

/* Its interrupt is all that it is for. */
static DEFINE_PER_CPU(struct irq_work, exit_work) = IRQ_WORK_INIT_HARD(nothing);

static DEFINE_MUTEX(users_lock);
static unsigned int users;
static enum cpuhp_state hotplug_state;

/* -EBUSY as hardware_get. Interrupts off or preemption off, on the CPU. */
static int enable_this_cpu(void)
{
	struct host_cpu_state *s = this_cpu_ptr(&host_cpu_state);
	u64 efer;

	if (s->on)
		return 0;
	rdmsrl(MSR_EFER, efer);
	if (efer & EFER_SVME)
		return -EBUSY;
	/* No hypervisor is at work here, so it is not a guest's. */
	if (boot_cpu_has(X86_FEATURE_RDTSCP))
		rdmsrl(MSR_TSC_AUX, s->tsc_aux);
	wrmsrl(MSR_EFER, efer | EFER_SVME);
	wrmsrl(MSR_VM_HSAVE_PA, __sme_pa(s->save_area));
	asid_cpu_init(this_cpu_ptr(&asid_cpu), svm.nr_asids);
	s->on = true;
	return 0;
}

static void disable_this_cpu(void *unused)
{
	u64 efer;

	if (!this_cpu_read(host_cpu_state.on))
		return;
	this_cpu_write(host_cpu_state.on, false);
	wrmsrl(MSR_VM_HSAVE_PA, 0);
	rdmsrl(MSR_EFER, efer);
	/* Interrupts held back by a GIF left at 0 would be lost with SVM. */
	asm volatile("stgi");
	wrmsrl(MSR_EFER, efer & ~EFER_SVME);
	this_cpu_write(host_cpu_state.last, NULL);
}

static void enable_on(void *failed)
{
	int r = enable_this_cpu();

	if (r)
		atomic_cmpxchg((atomic_t *)failed, 0, r);
}

void host_exit_at_once(void)
{
	irq_work_queue(this_cpu_ptr(&exit_work));
}

int hardware_get(void)
{
	atomic_t failed = ATOMIC_INIT(0);
	int r = 0;

	cpus_read_lock();
	mutex_lock(&users_lock);
	if (!users++) {
		on_each_cpu(enable_on, &failed, 1);
		r = atomic_read(&failed);
		if (r) {
			on_each_cpu(disable_this_cpu, NULL, 1);
			users--;
		}
	}
	mutex_unlock(&users_lock);
	cpus_read_unlock();
	if (r == -EBUSY)
		pr_info_ratelimited("exeunt: another hypervisor is using this CPU (EFER.SVME is set): no VM created\n");
	return r;
}

void hardware_put(void)
{
	cpus_read_lock();
	mutex_lock(&users_lock);
	if (!--users)
		on_each_cpu(disable_this_cpu, NULL, 1);
	mutex_unlock(&users_lock);
	cpus_read_unlock();
}

/* Hotplug: the CPU's pages exist while it is online; SVM follows the users. */
static int cpu_up_here(unsigned int cpu)
{
	struct host_cpu_state *s = per_cpu_ptr(&host_cpu_state, cpu);
	int r = 0;

	if (!s->save_area)
		s->save_area = (void *)get_zeroed_page(GFP_KERNEL);
	if (!s->vmsave_page)
		s->vmsave_page = (void *)get_zeroed_page(GFP_KERNEL);
	if (!s->save_area || !s->vmsave_page)
		return -ENOMEM;
	s->save_pa = __sme_pa(s->vmsave_page);
	s->asids = per_cpu_ptr(&asid_cpu, cpu);
	mutex_lock(&users_lock);
	if (users) {
		preempt_disable();
		r = enable_this_cpu();
		preempt_enable();
	}
	mutex_unlock(&users_lock);
	return r;
}

static int cpu_down_here(unsigned int cpu)
{
	preempt_disable();
	disable_this_cpu(NULL);
	preempt_enable();
	return 0;
}

static int suspend(void)
{
	disable_this_cpu(NULL);
	return 0;
}

static void resume(void)
{
	if (users && enable_this_cpu())
		pr_err("exeunt: SVM could not be switched on after resume\n");
}

static struct syscore_ops syscore = { .suspend = suspend, .resume = resume };

/* A machine that reboots into firmware with SVM on may hang there: INIT is held back while GIF is 0. */
static int reboot_notify(struct notifier_block *nb, unsigned long action, void *data)
{
	on_each_cpu(disable_this_cpu, NULL, 1);
	return NOTIFY_OK;
}

static struct notifier_block reboot_block = { .notifier_call = reboot_notify };

static void free_pages_of_cpus(void)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu) {
		struct host_cpu_state *s = per_cpu_ptr(&host_cpu_state, cpu);

		free_page((unsigned long)s->save_area);
		free_page((unsigned long)s->vmsave_page);
		memset(s, 0, sizeof(*s));
	}
}

/* Somebody has SVM on right now: say so at load, and load nevertheless only if nobody does. */
static bool in_use(void)
{
	u64 efer;

	rdmsrl(MSR_EFER, efer);
	return efer & EFER_SVME;
}

int hardware_init(void)
{
	u64 vm_cr;
	int r;

	if (cc_platform_has(CC_ATTR_HOST_MEM_ENCRYPT)) {
		pr_info("exeunt: not loaded: host memory encryption (mem_encrypt=on) is not supported\n");
		return -EOPNOTSUPP;
	}
	if (in_use()) {
		pr_info("exeunt: not loaded: another hypervisor is using this CPU (EFER.SVME is set)\n");
		return -EBUSY;
	}
	r = svm_init();
	if (r)
		return r;
	if (!rdmsrl_safe(MSR_VM_CR, &vm_cr) && (vm_cr & VM_CR_SVMDIS)) {
		pr_info("exeunt: not loaded: the firmware has locked SVM off (VM_CR.SVMDIS)\n");
		svm_exit();
		return -EOPNOTSUPP;
	}
	r = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "exeunt:online", cpu_up_here, cpu_down_here);
	if (r < 0) {
		free_pages_of_cpus();
		svm_exit();
		return r;
	}
	hotplug_state = r;
	register_syscore_ops(&syscore);
	register_reboot_notifier(&reboot_block);
	return 0;
}

void hardware_exit(void)
{
	unsigned int cpu;

	unregister_reboot_notifier(&reboot_block);
	unregister_syscore_ops(&syscore);
	cpuhp_remove_state(hotplug_state);
	for_each_possible_cpu(cpu)
		irq_work_sync(per_cpu_ptr(&exit_work, cpu));
	free_pages_of_cpus();
	svm_exit();
}
