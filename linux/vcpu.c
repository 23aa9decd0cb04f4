// SPDX-License-Identifier: GPL-2.0
/*
 * A vCPU's descriptor: its life, its shared pages, and its ioctls, each of which copies in, calls the engine, copies out.
 */
#include <linux/anon_inodes.h>
#include <linux/compat.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "vm.h"
#include "vm_stats.h"
#include "x86/state.h"

#define MAX_MSRS_PER_CALL	256

/* --- Registers of one structure each. --- */

static long get_regs(struct host_vcpu *hv, void __user *p)
{
	struct kvm_regs r;

	state_get_regs(&hv->v, &r);
	return copy_to_user(p, &r, sizeof(r)) ? -EFAULT : 0;
}

static long set_regs(struct host_vcpu *hv, void __user *p)
{
	struct kvm_regs r;

	if (copy_from_user(&r, p, sizeof(r)))
		return -EFAULT;
	state_set_regs(&hv->v, &r);
	return 0;
}

static long get_sregs(struct host_vcpu *hv, void __user *p)
{
	struct kvm_sregs s;

	state_get_sregs(&hv->v, &s);
	return copy_to_user(p, &s, sizeof(s)) ? -EFAULT : 0;
}

static long set_sregs(struct host_vcpu *hv, void __user *p)
{
	struct kvm_sregs s;

	if (copy_from_user(&s, p, sizeof(s)))
		return -EFAULT;
	return state_set_sregs(&hv->v, &s);
}

static long get_fpu(struct host_vcpu *hv, void __user *p)
{
	struct kvm_fpu f;

	fpu_get_legacy(hv, &f);
	return copy_to_user(p, &f, sizeof(f)) ? -EFAULT : 0;
}

static long set_fpu(struct host_vcpu *hv, void __user *p)
{
	struct kvm_fpu f;

	if (copy_from_user(&f, p, sizeof(f)))
		return -EFAULT;
	fpu_set_legacy(hv, &f);
	return 0;
}

static long get_xsave(struct host_vcpu *hv, void __user *p)
{
	struct kvm_xsave *x = kzalloc(sizeof(*x), GFP_KERNEL_ACCOUNT);
	long r;

	if (!x)
		return -ENOMEM;
	fpu_get_xsave(hv, x, sizeof(*x));
	r = copy_to_user(p, x, sizeof(*x)) ? -EFAULT : 0;
	kfree(x);
	return r;
}

static long set_xsave(struct host_vcpu *hv, void __user *p)
{
	struct kvm_xsave *x = memdup_user(p, sizeof(*x));
	long r;

	if (IS_ERR(x))
		return PTR_ERR(x);
	r = fpu_set_xsave(hv, x);
	kfree(x);
	return r;
}

static long get_xcrs(struct host_vcpu *hv, void __user *p)
{
	struct kvm_xcrs x;

	if (!boot_cpu_has(X86_FEATURE_XSAVE))
		return -EINVAL;
	state_get_xcrs(&hv->v, &x);
	return copy_to_user(p, &x, sizeof(x)) ? -EFAULT : 0;
}

static long set_xcrs(struct host_vcpu *hv, void __user *p)
{
	struct kvm_xcrs x;

	if (!boot_cpu_has(X86_FEATURE_XSAVE))
		return -EINVAL;
	if (copy_from_user(&x, p, sizeof(x)))
		return -EFAULT;
	return state_set_xcrs(&hv->v, &x);
}

static long get_debugregs(struct host_vcpu *hv, void __user *p)
{
	struct kvm_debugregs d;

	state_get_debugregs(&hv->v, &d);
	return copy_to_user(p, &d, sizeof(d)) ? -EFAULT : 0;
}

static long set_debugregs(struct host_vcpu *hv, void __user *p)
{
	struct kvm_debugregs d;

	if (copy_from_user(&d, p, sizeof(d)))
		return -EFAULT;
	return state_set_debugregs(&hv->v, &d);
}

static long get_events(struct host_vcpu *hv, void __user *p)
{
	struct kvm_vcpu_events e;

	event_get_state(&hv->v, &e);
	return copy_to_user(p, &e, sizeof(e)) ? -EFAULT : 0;
}

static long set_events(struct host_vcpu *hv, void __user *p)
{
	struct kvm_vcpu_events e;

	if (copy_from_user(&e, p, sizeof(e)))
		return -EFAULT;
	return event_set_state(&hv->v, &e);
}

static long get_mp_state(struct host_vcpu *hv, void __user *p)
{
	struct kvm_mp_state m = { .mp_state = state_get_mp_state(&hv->v) };

	return copy_to_user(p, &m, sizeof(m)) ? -EFAULT : 0;
}

static long set_mp_state(struct host_vcpu *hv, void __user *p)
{
	struct kvm_mp_state m;

	if (copy_from_user(&m, p, sizeof(m)))
		return -EFAULT;
	return state_set_mp_state(&hv->v, m.mp_state);
}

static long get_lapic(struct host_vcpu *hv, void __user *p)
{
	struct kvm_lapic_state *s;
	long r;

	if (!hv->v.apic.present)
		return -EINVAL;
	s = kzalloc(sizeof(*s), GFP_KERNEL_ACCOUNT);
	if (!s)
		return -ENOMEM;
	lapic_get_state(&hv->v, s);
	r = copy_to_user(p, s, sizeof(*s)) ? -EFAULT : 0;
	kfree(s);
	return r;
}

static long set_lapic(struct host_vcpu *hv, void __user *p)
{
	struct kvm_lapic_state *s;
	long r;

	if (!hv->v.apic.present)
		return -EINVAL;
	s = memdup_user(p, sizeof(*s));
	if (IS_ERR(s))
		return PTR_ERR(s);
	r = lapic_set_state(&hv->v, s);
	kfree(s);
	return r;
}

/* --- MSRs: the number done, up to the first that is refused. --- */

static long do_msrs(struct host_vcpu *hv, struct kvm_msrs __user *p, bool write)
{
	struct kvm_msr_entry e;
	u32 nr, i;

	if (get_user(nr, &p->nmsrs))
		return -EFAULT;
	if (nr >= MAX_MSRS_PER_CALL)
		return -E2BIG;
	for (i = 0; i < nr; i++) {
		if (copy_from_user(&e, &p->entries[i], sizeof(e)))
			return -EFAULT;
		if (write ? msr_write(&hv->v, e.index, e.data, true) : msr_read(&hv->v, e.index, &e.data, true))
			break;
		if (!write && copy_to_user(&p->entries[i], &e, sizeof(e)))
			return -EFAULT;
	}
	return i;
}

/* --- CPUID. --- */

static long set_cpuid(struct host_vcpu *hv, struct kvm_cpuid2 __user *p)
{
	struct kvm_cpuid_entry2 *entries = NULL;
	u32 nr;
	long r;

	if (get_user(nr, &p->nent))
		return -EFAULT;
	if (nr > CPUID_MAX_ENTRIES)
		return -E2BIG;
	if (nr) {
		entries = vmemdup_user(p->entries, array_size(nr, sizeof(*entries)));
		if (IS_ERR(entries))
			return PTR_ERR(entries);
	}
	r = cpuid_set(&hv->v, entries, nr);
	if (!r)
		vendor_cpuid_changed(&hv->v);
	kvfree(entries);
	return r;
}

static long get_cpuid(struct host_vcpu *hv, struct kvm_cpuid2 __user *p)
{
	struct kvm_cpuid_entry2 *entries;
	u32 nr, room;
	long r;

	if (get_user(room, &p->nent))
		return -EFAULT;
	nr = min_t(u32, room, CPUID_MAX_ENTRIES);
	entries = kvcalloc(nr + 1, sizeof(*entries), GFP_KERNEL_ACCOUNT);
	if (!entries)
		return -ENOMEM;
	r = cpuid_get(&hv->v, entries, &nr);
	if (put_user(nr, &p->nent))
		r = -EFAULT;
	else if (!r && copy_to_user(p->entries, entries, array_size(nr, sizeof(*entries))))
		r = -EFAULT;
	kvfree(entries);
	return r;
}

/* --- Interrupts from the VMM. --- */

static long do_interrupt(struct host_vcpu *hv, void __user *p)
{
	struct kvm_interrupt i;

	if (copy_from_user(&i, p, sizeof(i)))
		return -EFAULT;
	return event_extint(&hv->v, i.irq);
}

static long set_signal_mask(struct host_vcpu *hv, struct kvm_signal_mask __user *p)
{
	struct kvm_signal_mask head;

	if (!p) {
		hv->sigset_active = false;
		return 0;
	}
	if (copy_from_user(&head, p, sizeof(head)))
		return -EFAULT;
	if (head.len != sizeof(hv->sigset))
		return -EINVAL;
	if (copy_from_user(&hv->sigset, p->sigset, sizeof(hv->sigset)))
		return -EFAULT;
	sigdelsetmask(&hv->sigset, sigmask(SIGKILL) | sigmask(SIGSTOP));
	hv->sigset_active = true;
	return 0;
}

static long set_vapic_addr(struct host_vcpu *hv, void __user *p)
{
	struct kvm_vapic_addr a;

	if (!hv->v.apic.present)
		return -EINVAL;
	if (copy_from_user(&a, p, sizeof(a)))
		return -EFAULT;
	return lapic_set_vapic(&hv->v, a.vapic_addr);
}

static long setup_mce(struct host_vcpu *hv, void __user *p)
{
	u64 cap;

	if (copy_from_user(&cap, p, sizeof(cap)))
		return -EFAULT;
	return msr_setup_mce(&hv->v, cap);
}

static long set_mce(struct host_vcpu *hv, void __user *p)
{
	struct kvm_x86_mce e;

	if (copy_from_user(&e, p, sizeof(e)))
		return -EFAULT;
	return msr_inject_mce(&hv->v, &e);
}

static long translate(struct host_vcpu *hv, void __user *p)
{
	struct kvm_translation t;

	if (copy_from_user(&t, p, sizeof(t)))
		return -EFAULT;
	emulate_translate(&hv->v, &t);
	return copy_to_user(p, &t, sizeof(t)) ? -EFAULT : 0;
}

/* Rates within the tolerance of the guest's own clock are the host's; others would need TSC scaling (KVM_CAP_TSC_CONTROL). */
static long set_tsc_khz(struct host_vcpu *hv, unsigned long arg)
{
	u64 host = host_tsc_khz(), khz = arg ? (u32)arg : host;

	if (khz < host - host / 4000 || khz > host + host / 4000)
		return -EINVAL;
	return 0;
}

static long kvmclock_ctrl(struct host_vcpu *hv)
{
	if (!(hv->v.pv.system_time_msr & 1))
		return -EINVAL;
	hv->v.pv.guest_stopped = true;
	vcpu_request(&hv->v, REQ_CLOCK_UPDATE);
	return 0;
}

/* The ioctls of a loaded vCPU whose mutex is held, but for KVM_RUN. */
static long loaded_ioctl(struct host_vcpu *hv, unsigned int cmd, unsigned long arg)
{
	void __user *p = (void __user *)arg;

	switch (cmd) {
	case KVM_GET_REGS:
		return get_regs(hv, p);
	case KVM_SET_REGS:
		return set_regs(hv, p);
	case KVM_GET_SREGS:
		return get_sregs(hv, p);
	case KVM_SET_SREGS:
		return set_sregs(hv, p);
	case KVM_GET_FPU:
		return get_fpu(hv, p);
	case KVM_SET_FPU:
		return set_fpu(hv, p);
	case KVM_GET_XSAVE:
		return get_xsave(hv, p);
	case KVM_SET_XSAVE:
		return set_xsave(hv, p);
	case KVM_GET_XCRS:
		return get_xcrs(hv, p);
	case KVM_SET_XCRS:
		return set_xcrs(hv, p);
	case KVM_GET_DEBUGREGS:
		return get_debugregs(hv, p);
	case KVM_SET_DEBUGREGS:
		return set_debugregs(hv, p);
	case KVM_GET_VCPU_EVENTS:
		return get_events(hv, p);
	case KVM_SET_VCPU_EVENTS:
		return set_events(hv, p);
	case KVM_GET_MP_STATE:
		return get_mp_state(hv, p);
	case KVM_SET_MP_STATE:
		return set_mp_state(hv, p);
	case KVM_GET_LAPIC:
		return get_lapic(hv, p);
	case KVM_SET_LAPIC:
		return set_lapic(hv, p);
	case KVM_GET_MSRS:
		return do_msrs(hv, p, false);
	case KVM_SET_MSRS:
		return do_msrs(hv, p, true);
	case KVM_SET_CPUID2:
		return set_cpuid(hv, p);
	case KVM_GET_CPUID2:
		return get_cpuid(hv, p);
	case KVM_INTERRUPT:
		return do_interrupt(hv, p);
	case KVM_NMI:
		event_nmi(&hv->v);
		return 0;
	case KVM_SET_SIGNAL_MASK:
		return set_signal_mask(hv, p);
	case KVM_SET_VAPIC_ADDR:
		return set_vapic_addr(hv, p);
	case KVM_X86_SETUP_MCE:
		return setup_mce(hv, p);
	case KVM_X86_SET_MCE:
		return set_mce(hv, p);
	case KVM_TRANSLATE:
		return translate(hv, p);
	case KVM_GET_TSC_KHZ:
		return hv->v.msr.tsc_khz;
	case KVM_SET_TSC_KHZ:
		return set_tsc_khz(hv, arg);
	case KVM_KVMCLOCK_CTRL:
		return kvmclock_ctrl(hv);
	}
	return -ENOTTY;
}

/* Out of line: KVM_RUN shall not pay for what these keep on the stack. */
static noinline long other_ioctl(struct host_vcpu *hv, unsigned int cmd, unsigned long arg)
{
	long r;

	vcpu_load(hv);
	r = loaded_ioctl(hv, cmd, arg);
	vcpu_put(hv);
	return r;
}

static long vcpu_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct host_vcpu *hv = file->private_data;
	long r;

	if (hv->hvm->mm != current->mm)
		return -EIO;
	if (unlikely(cmd != KVM_RUN)) {
		if (_IOC_TYPE(cmd) != KVMIO)
			return -EINVAL;
		if (cmd == KVM_GET_STATS_FD)
			return stats_fd_create(hv->hvm->stats, hv->v.id);
	}
	if (mutex_lock_killable(&hv->mutex))
		return -EINTR;
	if (likely(cmd == KVM_RUN))
		r = arg ? -EINVAL : vcpu_ioctl_run(hv);
	else
		r = other_ioctl(hv, cmd, arg);
	mutex_unlock(&hv->mutex);
	return r;
}

/* --- The pages shared with the VMM: kvm_run, and port data. --- */

static vm_fault_t vcpu_fault(struct vm_fault *vmf)
{
	struct host_vcpu *hv = vmf->vma->vm_file->private_data;
	struct page *page;

	if (vmf->pgoff == 0)
		page = hv->run_page;
	else if (vmf->pgoff == KVM_PIO_PAGE_OFFSET)
		page = hv->pio_page;
	else
		return VM_FAULT_SIGBUS;
	get_page(page);
	vmf->page = page;
	return 0;
}

static const struct vm_operations_struct vcpu_vm_ops = { .fault = vcpu_fault };

static int vcpu_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_ops = &vcpu_vm_ops;
	return 0;
}

static int vcpu_release(struct inode *inode, struct file *file)
{
	struct host_vcpu *hv = file->private_data;

	vm_put(hv->hvm);
	return 0;
}

static const struct file_operations vcpu_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = vcpu_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = vcpu_mmap,
	.release = vcpu_release,
	.llseek = noop_llseek,
};

/* --- Life. --- */

/* No CPU may take a later vCPU at the same address for this one. */
static void forget_last(struct host_vcpu *hv)
{
	int cpu;

	for_each_possible_cpu(cpu)
		cmpxchg(per_cpu_ptr(&host_cpu_state.last, cpu), &hv->v, NULL);
}

void vcpu_free(struct host_vcpu *hv)
{
	vcpu_thread_destroy(hv);
	forget_last(hv);
	vcpu_destroy(&hv->v);
	fpu_destroy(hv);
	if (hv->run_page)
		__free_page(hv->run_page);
	if (hv->pio_page)
		__free_page(hv->pio_page);
	kvfree(hv);
}

/* One that no descriptor has ever named: its statistics are still its own. */
static void unpublished_free(struct host_vcpu *hv)
{
	stats_destroy(hv->v.stats);
	vcpu_free(hv);
}

static struct host_vcpu *vcpu_alloc(struct host_vm *hvm, u32 id)
{
	struct host_vcpu *hv = kvzalloc(sizeof(*hv), GFP_KERNEL_ACCOUNT);
	int r = -ENOMEM;

	if (!hv)
		return ERR_PTR(r);
	hv->hvm = hvm;
	mutex_init(&hv->mutex);
	vcpu_thread_init(hv);
	hv->run_page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	hv->pio_page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!hv->run_page || !hv->pio_page || fpu_create(hv))
		goto fail;
	hv->v.run = page_address(hv->run_page);
	hv->v.pio_data = page_address(hv->pio_page);
	hv->v.stats = stats_create();
	if (!hv->v.stats)
		goto fail;
	r = vcpu_create(&hv->v, &hvm->vm, id);
	if (!r)
		return hv;
fail:
	unpublished_free(hv);
	return ERR_PTR(r);
}

/* The descriptor last: from fd_install on the VMM can use, and close, it. hvm->lock held. */
static int publish(struct host_vm *hvm, struct host_vcpu *hv)
{
	struct file *file;
	char name[32];
	int fd = get_unused_fd_flags(O_CLOEXEC);

	if (fd < 0)
		return fd;
	snprintf(name, sizeof(name), "kvm-vcpu:%u", hv->v.id);
	file = anon_inode_getfile(name, &vcpu_fops, hv, O_RDWR);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		return PTR_ERR(file);
	}
	vm_get(hvm);
	stats_vcpu_publish(hvm, &hv->v);
	hvm->vm.nr_vcpus++;
	if (hv->v.id > hvm->vm.max_id)
		WRITE_ONCE(hvm->vm.max_id, hv->v.id);
	smp_store_release(&hvm->vm.vcpu_by_id[hv->v.id], &hv->v);
	fd_install(fd, file);
	return fd;
}

int vcpu_create_fd(struct host_vm *hvm, u32 id)
{
	struct host_vcpu *hv;
	int r;

	if (id >= VM_MAX_VCPUS)
		return -EINVAL;
	mutex_lock(&hvm->lock);
	if (hvm->vm.vcpu_by_id[array_index_nospec(id, VM_MAX_VCPUS)]) {
		r = -EEXIST;
		goto out;
	}
	hv = vcpu_alloc(hvm, id);
	if (IS_ERR(hv)) {
		r = PTR_ERR(hv);
		goto out;
	}
	r = publish(hvm, hv);
	if (r < 0)
		unpublished_free(hv);
out:
	mutex_unlock(&hvm->lock);
	return r;
}
