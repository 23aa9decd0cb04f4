// SPDX-License-Identifier: GPL-2.0
/*
 * A VM's descriptor: its life and its ioctls.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/timekeeping.h>
#include "vm.h"
#include "vm_stats.h"
#include "hardware.h"

#define KVM_MAX_IOAPIC_PINS	4096
#define QUIRKS	(KVM_X86_QUIRK_CD_NW_CLEARED | KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS)
#define X2APIC_FLAGS	(KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK)
#define DISABLE_EXITS	(KVM_X86_DISABLE_EXITS_HLT | KVM_X86_DISABLE_EXITS_PAUSE)

/* KVM_CHECK_EXTENSION. What is not named here is not offered. @hvm may be NULL: asked of the device. */
int vm_check_extension(struct host_vm *hvm, long cap)
{
	switch (cap) {
	case KVM_CAP_IRQCHIP: case KVM_CAP_HLT: case KVM_CAP_USER_MEMORY: case KVM_CAP_SET_TSS_ADDR: case KVM_CAP_EXT_CPUID:
	case KVM_CAP_NOP_IO_DELAY: case KVM_CAP_MP_STATE: case KVM_CAP_SYNC_MMU: case KVM_CAP_DESTROY_MEMORY_REGION_WORKS:
	case KVM_CAP_JOIN_MEMORY_REGIONS_WORKS: case KVM_CAP_USER_NMI: case KVM_CAP_SET_IDENTITY_MAP_ADDR:
	case KVM_CAP_IRQ_INJECT_STATUS: case KVM_CAP_IRQFD: case KVM_CAP_IOEVENTFD: case KVM_CAP_IOEVENTFD_NO_LENGTH:
	case KVM_CAP_IOEVENTFD_ANY_LENGTH: case KVM_CAP_VCPU_EVENTS: case KVM_CAP_DEBUGREGS: case KVM_CAP_CLOCKSOURCE:
	case KVM_CAP_INTERNAL_ERROR_DATA: case KVM_CAP_GET_TSC_KHZ: case KVM_CAP_TSC_DEADLINE_TIMER: case KVM_CAP_KVMCLOCK_CTRL:
	case KVM_CAP_SIGNAL_MSI: case KVM_CAP_READONLY_MEM: case KVM_CAP_SPLIT_IRQCHIP: case KVM_CAP_IMMEDIATE_EXIT:
	case KVM_CAP_ENABLE_CAP_VM: case KVM_CAP_CHECK_EXTENSION_VM: case KVM_CAP_GET_MSR_FEATURES: case KVM_CAP_DISABLE_QUIRKS:
	case KVM_CAP_SET_BOOT_CPU_ID: case KVM_CAP_BINARY_STATS_FD: case KVM_CAP_HALT_POLL:
		return 1;
	case KVM_CAP_XSAVE: case KVM_CAP_XCRS:
		return boot_cpu_has(X86_FEATURE_XSAVE);
	case KVM_CAP_IRQ_ROUTING:
		return HOST_MAX_IRQ_ROUTES;
	case KVM_CAP_MCE:
		return MCE_MAX_BANKS;
	case KVM_CAP_ADJUST_CLOCK:
		return KVM_CLOCK_TSC_STABLE;
	case KVM_CAP_NR_VCPUS:
		return min_t(u32, num_online_cpus(), VM_MAX_VCPUS);
	case KVM_CAP_MAX_VCPUS: case KVM_CAP_MAX_VCPU_ID:
		return VM_MAX_VCPUS;
	case KVM_CAP_NR_MEMSLOTS:
		return VM_MAX_SLOTS;
	case KVM_CAP_X2APIC_API:
		return X2APIC_FLAGS;
	case KVM_CAP_DISABLE_QUIRKS2:
		return QUIRKS;
	case KVM_CAP_X86_DISABLE_EXITS:
		return DISABLE_EXITS;
	case EXEUNT_CAP_MECHANISMS:
		return EXEUNT_MECHANISMS;
	}
	return 0;
}

/* --- KVM_ENABLE_CAP. hvm->lock held. --- */

static int enable_split_irqchip(struct host_vm *hvm, u64 pins)
{
	if (pins > KVM_MAX_IOAPIC_PINS)
		return -EINVAL;
	if (hvm->vm.irqchip_split || hvm->vm.nr_vcpus)
		return -EEXIST;
	hvm->vm.nr_ioapic_pins = pins;
	smp_store_release(&hvm->vm.irqchip_split, true);
	return 0;
}

static int enable_mechanisms(struct vm *vm, u64 own, u64 on)
{
	if ((own | on) & ~(u64)EXEUNT_MECHANISMS)
		return -EINVAL;
	/* A vCPU that looks in between runs for a moment with some of each. */
	WRITE_ONCE(vm->mechanisms_on, on);
	WRITE_ONCE(vm->mechanisms_own, own);
	return 0;
}

static int enable_cap(struct host_vm *hvm, const struct kvm_enable_cap *cap)
{
	u64 arg = cap->args[0];

	if (cap->flags)
		return -EINVAL;
	switch (cap->cap) {
	case KVM_CAP_SPLIT_IRQCHIP:
		return enable_split_irqchip(hvm, arg);
	case KVM_CAP_X2APIC_API:
		if (arg & ~(u64)X2APIC_FLAGS)
			return -EINVAL;
		if (arg & KVM_X2APIC_API_USE_32BIT_IDS)
			hvm->vm.x2apic_ids32 = true;
		if (arg & KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK)
			hvm->vm.x2apic_no_bcast_quirk = true;
		return 0;
	case KVM_CAP_DISABLE_QUIRKS2:
		if (arg & ~(u64)QUIRKS)
			return -EINVAL;
		fallthrough;
	case KVM_CAP_DISABLE_QUIRKS:
		hvm->vm.disabled_quirks = arg & QUIRKS;
		return 0;
	case KVM_CAP_X86_DISABLE_EXITS:
		if (arg & ~(u64)DISABLE_EXITS)
			return -EINVAL;
		hvm->vm.hlt_in_guest |= !!(arg & KVM_X86_DISABLE_EXITS_HLT);
		hvm->vm.pause_in_guest |= !!(arg & KVM_X86_DISABLE_EXITS_PAUSE);
		return 0;
	case KVM_CAP_HALT_POLL:
		if (arg > U32_MAX)
			return -EINVAL;
		WRITE_ONCE(hvm->halt_poll_ns, arg);
		return 0;
	case EXEUNT_CAP_MECHANISMS:
		return enable_mechanisms(&hvm->vm, arg, cap->args[1]);
	}
	return -EINVAL;
}

static long ioctl_enable_cap(struct host_vm *hvm, void __user *p)
{
	struct kvm_enable_cap cap;
	long r;

	if (copy_from_user(&cap, p, sizeof(cap)))
		return -EFAULT;
	mutex_lock(&hvm->lock);
	r = enable_cap(hvm, &cap);
	mutex_unlock(&hvm->lock);
	return r;
}

/* --- One function a request: copy in, act, copy out. --- */

static long ioctl_set_memory(struct host_vm *hvm, void __user *p)
{
	struct kvm_userspace_memory_region r;

	return copy_from_user(&r, p, sizeof(r)) ? -EFAULT : vm_ioctl_set_memory(hvm, &r);
}

static long ioctl_get_dirty_log(struct host_vm *hvm, void __user *p)
{
	struct kvm_dirty_log log;

	return copy_from_user(&log, p, sizeof(log)) ? -EFAULT : vm_ioctl_get_dirty_log(hvm, &log);
}

static long ioctl_irqfd(struct host_vm *hvm, void __user *p)
{
	struct kvm_irqfd args;

	return copy_from_user(&args, p, sizeof(args)) ? -EFAULT : vm_ioctl_irqfd(hvm, &args);
}

static long ioctl_ioeventfd(struct host_vm *hvm, void __user *p)
{
	struct kvm_ioeventfd args;

	return copy_from_user(&args, p, sizeof(args)) ? -EFAULT : vm_ioctl_ioeventfd(hvm, &args);
}

static long ioctl_signal_msi(struct host_vm *hvm, void __user *p)
{
	struct kvm_msi msi;

	return copy_from_user(&msi, p, sizeof(msi)) ? -EFAULT : vm_ioctl_signal_msi(hvm, &msi);
}

static long ioctl_irq_line(struct host_vm *hvm, void __user *p, bool status)
{
	struct kvm_irq_level level;
	long r;

	if (copy_from_user(&level, p, sizeof(level)))
		return -EFAULT;
	r = vm_ioctl_irq_line(hvm, &level, status);
	if (!r && status && copy_to_user(p, &level, sizeof(level)))
		return -EFAULT;
	return r;
}

static long ioctl_set_routing(struct host_vm *hvm, struct kvm_irq_routing __user *p)
{
	struct kvm_irq_routing_entry *entries = NULL;
	struct kvm_irq_routing head;
	long r;

	if (copy_from_user(&head, p, sizeof(head)))
		return -EFAULT;
	if (!hvm->vm.irqchip_split || head.nr > HOST_MAX_IRQ_ROUTES || head.flags)
		return -EINVAL;
	if (head.nr) {
		entries = vmemdup_user(p->entries, array_size(head.nr, sizeof(*entries)));
		if (IS_ERR(entries))
			return PTR_ERR(entries);
	}
	r = vm_ioctl_set_gsi_routing(hvm, &head, entries);
	kvfree(entries);
	return r;
}

static long ioctl_set_boot_cpu(struct host_vm *hvm, unsigned long id)
{
	long r = 0;

	mutex_lock(&hvm->lock);
	if (hvm->vm.nr_vcpus)
		r = -EBUSY;
	else
		hvm->vm.bsp_id = min_t(unsigned long, id, U32_MAX);
	mutex_unlock(&hvm->lock);
	return r;
}

/* QEMU's TSS and identity map pages: kept for the API; SVM runs real mode without them. */
static long ioctl_set_tss_addr(struct host_vm *hvm, unsigned long addr)
{
	if (addr > (unsigned int)(-3 * PAGE_SIZE))
		return -EINVAL;
	hvm->tss_addr = addr;
	return 0;
}

static long ioctl_set_identity_map(struct host_vm *hvm, void __user *p)
{
	u64 addr;
	long r = 0;

	if (copy_from_user(&addr, p, sizeof(addr)))
		return -EFAULT;
	mutex_lock(&hvm->lock);
	if (hvm->vm.nr_vcpus)
		r = -EINVAL;
	else
		hvm->identity_map_addr = addr;
	mutex_unlock(&hvm->lock);
	return r;
}

static long ioctl_get_clock(struct host_vm *hvm, void __user *p)
{
	struct kvm_clock_data c = { 0 };

	mutex_lock(&hvm->lock);
	c.clock = pv_clock_ns(&hvm->vm);
	c.flags = hvm->vm.clock_shared ? KVM_CLOCK_TSC_STABLE : 0;
	mutex_unlock(&hvm->lock);
	return copy_to_user(p, &c, sizeof(c)) ? -EFAULT : 0;
}

static long ioctl_set_clock(struct host_vm *hvm, void __user *p)
{
	struct kvm_clock_data c;
	struct vcpu *v;
	u32 i;

	if (copy_from_user(&c, p, sizeof(c)))
		return -EFAULT;
	if (c.flags & ~KVM_CLOCK_TSC_STABLE)
		return -EINVAL;
	mutex_lock(&hvm->lock);
	pv_clock_set(&hvm->vm, c.clock);
	mutex_unlock(&hvm->lock);
	vm_for_each_vcpu(&hvm->vm, v, i) {
		vcpu_request(v, REQ_CLOCK_UPDATE);
		host_kick(v);
	}
	return 0;
}

static long vm_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct host_vm *hvm = file->private_data;
	void __user *p = (void __user *)arg;

	if (hvm->mm != current->mm)
		return -EIO;
	switch (cmd) {
	case KVM_CREATE_VCPU:
		return arg > U32_MAX ? -EINVAL : vcpu_create_fd(hvm, arg);
	case KVM_CHECK_EXTENSION:
		return vm_check_extension(hvm, arg);
	case KVM_ENABLE_CAP:
		return ioctl_enable_cap(hvm, p);
	case KVM_SET_USER_MEMORY_REGION:
		return ioctl_set_memory(hvm, p);
	case KVM_GET_DIRTY_LOG:
		return ioctl_get_dirty_log(hvm, p);
	case KVM_IRQFD:
		return ioctl_irqfd(hvm, p);
	case KVM_IOEVENTFD:
		return ioctl_ioeventfd(hvm, p);
	case KVM_SIGNAL_MSI:
		return ioctl_signal_msi(hvm, p);
	case KVM_IRQ_LINE:
		return ioctl_irq_line(hvm, p, false);
	case KVM_IRQ_LINE_STATUS:
		return ioctl_irq_line(hvm, p, true);
	case KVM_SET_GSI_ROUTING:
		return ioctl_set_routing(hvm, p);
	case KVM_SET_BOOT_CPU_ID:
		return ioctl_set_boot_cpu(hvm, arg);
	case KVM_SET_TSS_ADDR:
		return ioctl_set_tss_addr(hvm, arg);
	case KVM_SET_IDENTITY_MAP_ADDR:
		return ioctl_set_identity_map(hvm, p);
	case KVM_GET_CLOCK:
		return ioctl_get_clock(hvm, p);
	case KVM_SET_CLOCK:
		return ioctl_set_clock(hvm, p);
	case KVM_GET_STATS_FD:
		return stats_fd_create(hvm->stats, STATS_ALL_VCPUS);
	}
	return -ENOTTY;
}

/* --- Life. --- */

void vm_get(struct host_vm *hvm)
{
	kref_get(&hvm->ref);
}

static void vm_free(struct kref *ref)
{
	struct host_vm *hvm = container_of(ref, struct host_vm, ref);
	u32 i;

	host_irq_destroy(hvm);
	host_eventfds_destroy(hvm);
	mmu_destroy(hvm);
	for (i = 0; i < VM_MAX_VCPUS; i++)
		if (hvm->vm.vcpu_by_id[i])
			vcpu_free(HOST_VCPU(hvm->vm.vcpu_by_id[i]));
	vendor_vm_destroy(&hvm->vm);
	stats_vm_end(hvm);
	memslots_destroy(hvm);
	cleanup_srcu_struct(&hvm->srcu);
	mmdrop(hvm->mm);
	kvfree(hvm);
	hardware_put();
	module_put(THIS_MODULE);
}

void vm_put(struct host_vm *hvm)
{
	kref_put(&hvm->ref, vm_free);
}

static int vm_release(struct inode *inode, struct file *file)
{
	struct host_vm *hvm = file->private_data;

	host_eventfds_release(hvm);
	vm_put(hvm);
	return 0;
}

static const struct file_operations vm_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = vm_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.release = vm_release,
	.llseek = noop_llseek,
};

/* A VM with its slots and tables, on a CPU that is switched on. */
static struct host_vm *vm_alloc(void)
{
	struct host_vm *hvm = kvzalloc(sizeof(*hvm), GFP_KERNEL_ACCOUNT);
	int r;

	if (!hvm)
		return ERR_PTR(-ENOMEM);
	kref_init(&hvm->ref);
	mutex_init(&hvm->lock);
	mutex_init(&hvm->slots_lock);
	host_irq_init(hvm);
	host_eventfds_init(hvm);
	hvm->vm.tsc_khz = host_tsc_khz();
	pv_clock_set(&hvm->vm, 0);
	hvm->mm = current->mm;
	hvm->halt_poll_ns = HALT_POLL_DEFAULT;
	r = vendor_vm_create(&hvm->vm);
	if (r)
		goto fail;
	r = init_srcu_struct(&hvm->srcu);
	if (r)
		goto fail_vendor;
	r = memslots_init(hvm);
	if (r)
		goto fail_srcu;
	mmgrab(hvm->mm);
	r = mmu_init(hvm);
	if (r)
		goto fail_slots;
	r = stats_vm_begin(hvm);
	if (!r)
		return hvm;
	mmu_destroy(hvm);
fail_slots:
	mmdrop(hvm->mm);
	memslots_destroy(hvm);
fail_srcu:
	cleanup_srcu_struct(&hvm->srcu);
fail_vendor:
	vendor_vm_destroy(&hvm->vm);
fail:
	kvfree(hvm);
	return ERR_PTR(r);
}

int vm_create_fd(unsigned long type)
{
	struct host_vm *hvm;
	struct file *file;
	int fd, r;

	if (type)
		return -EINVAL;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	r = hardware_get();
	if (r)
		goto fail_fd;
	hvm = vm_alloc();
	if (IS_ERR(hvm)) {
		hardware_put();
		r = PTR_ERR(hvm);
		goto fail_fd;
	}
	/* From here vm_put undoes everything. The module stays while the VM does, also after its last descriptor's file is gone. */
	__module_get(THIS_MODULE);
	file = anon_inode_getfile("kvm-vm", &vm_fops, hvm, O_RDWR);
	if (IS_ERR(file)) {
		vm_put(hvm);
		r = PTR_ERR(file);
		goto fail_fd;
	}
	fd_install(fd, file);
	return fd;

fail_fd:
	put_unused_fd(fd);
	return r;
}
