// SPDX-License-Identifier: GPL-2.0
/*
 * The module: /dev/exeunt always, /dev/kvm when no other driver has that name, and the ioctls that are about no VM.
 */
#include <linux/kvm.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "vm.h"
#include "vm_stats.h"
#include "hardware.h"
#include "work.h"

/* KVM_GET_SUPPORTED_CPUID. */
static long get_supported_cpuid(struct kvm_cpuid2 __user *arg)
{
	struct kvm_cpuid_entry2 *entries;
	struct kvm_cpuid2 head;
	u32 nr;
	long r;

	if (copy_from_user(&head, arg, sizeof(head)))
		return -EFAULT;
	nr = min_t(u32, head.nent, CPUID_MAX_ENTRIES);
	if (!nr)
		return -E2BIG;
	entries = kvcalloc(nr, sizeof(*entries), GFP_KERNEL_ACCOUNT);
	if (!entries)
		return -ENOMEM;
	r = cpuid_supported(entries, &nr);
	if (!r && (put_user(nr, &arg->nent) || copy_to_user(arg->entries, entries, array_size(nr, sizeof(*entries)))))
		r = -EFAULT;
	kvfree(entries);
	return r;
}

/* KVM_GET_MSR_INDEX_LIST and KVM_GET_MSR_FEATURE_INDEX_LIST. */
static long get_msr_list(struct kvm_msr_list __user *arg, const u32 *list, u32 nr)
{
	u32 room;

	if (get_user(room, &arg->nmsrs) || put_user(nr, &arg->nmsrs))
		return -EFAULT;
	if (room < nr)
		return -E2BIG;
	return copy_to_user(arg->indices, list, nr * sizeof(*list)) ? -EFAULT : 0;
}

/* KVM_GET_MSRS on the device: feature MSRs. The number read, up to the first that is none. */
static long get_feature_msrs(struct kvm_msrs __user *arg)
{
	struct kvm_msr_entry e;
	u32 nr, i;

	if (get_user(nr, &arg->nmsrs))
		return -EFAULT;
	if (nr >= 256)
		return -E2BIG;
	for (i = 0; i < nr; i++) {
		if (copy_from_user(&e, &arg->entries[i], sizeof(e)))
			return -EFAULT;
		if (msr_read_feature(e.index, &e.data))
			break;
		if (copy_to_user(&arg->entries[i], &e, sizeof(e)))
			return -EFAULT;
	}
	return i;
}

/* Registered as /dev/kvm as well as /dev/exeunt. */
static bool is_dev_kvm;

static long device_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *p = (void __user *)arg;
	const u64 mce_cap = MSR_MCG_CAP_SUPPORTED;
	const u32 *list;
	u32 nr;

	switch (cmd) {
	case KVM_GET_API_VERSION:
		return arg ? -EINVAL : KVM_API_VERSION;
	case KVM_CREATE_VM:
		return vm_create_fd(arg);
	case KVM_CHECK_EXTENSION:
		return vm_check_extension(NULL, arg);
	case KVM_GET_VCPU_MMAP_SIZE:
		return arg ? -EINVAL : 2 * PAGE_SIZE;
	case KVM_GET_SUPPORTED_CPUID:
		return get_supported_cpuid(p);
	case KVM_GET_MSR_INDEX_LIST:
		list = msr_index_list(&nr);
		return get_msr_list(p, list, nr);
	case KVM_GET_MSR_FEATURE_INDEX_LIST:
		list = msr_feature_list(&nr);
		return get_msr_list(p, list, nr);
	case KVM_GET_MSRS:
		return get_feature_msrs(p);
	case KVM_X86_GET_MCE_CAP_SUPPORTED:
		return copy_to_user(p, &mce_cap, sizeof(mce_cap)) ? -EFAULT : 0;
	}
	return stats_device_ioctl(cmd, p, is_dev_kvm);
}

static const struct file_operations device_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = device_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice exeunt_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "exeunt",
	.fops = &device_fops,
};

static struct miscdevice kvm_device = {
	.minor = KVM_MINOR,
	.name = "kvm",
	.fops = &device_fops,
};

static int __init exeunt_init(void)
{
	int r = hardware_init();

	if (r)
		return r;
	r = work_init();
	if (r)
		goto fail_hardware;
	/* Once, not per VM: the switch patches kernel text, which QEMU's multi-threaded TCG does not always survive. */
	preempt_notifier_inc();
	r = misc_register(&exeunt_device);
	if (r)
		goto fail_work;
	/* Upstream KVM may be loaded, and idle: then its device keeps the name. */
	is_dev_kvm = !misc_register(&kvm_device);
	pr_info("exeunt: AMD SVM with nested paging, %u ASIDs%s; answers as /dev/exeunt%s\n", svm.nr_asids,
		svm.nrip ? ", next RIP saved" : "", is_dev_kvm ? " and /dev/kvm" : "; /dev/kvm belongs to another driver");
	return 0;

fail_work:
	preempt_notifier_dec();
	work_exit();
fail_hardware:
	hardware_exit();
	return r;
}

static void __exit exeunt_exit(void)
{
	if (is_dev_kvm)
		misc_deregister(&kvm_device);
	misc_deregister(&exeunt_device);
	preempt_notifier_dec();
	work_exit();
	hardware_exit();
}

module_init(exeunt_init);
module_exit(exeunt_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Exeunt: a small hypervisor that speaks the KVM API (AMD SVM)");
MODULE_AUTHOR("The Exeunt founders");
