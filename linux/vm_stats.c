// SPDX-License-Identifier: GPL-2.0
/*
 * Statistics for the administrator: the list of all VMs, alive or watched beyond their end, and the sessions of /dev/exeunt that read
 * them (include/exeunt/stats.h). Owns the list, and the switch of the accounting.
 */
#include <linux/anon_inodes.h>
#include <linux/capability.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>
#include "vm_stats.h"

DEFINE_STATIC_KEY_TRUE(host_accounting_key);
static bool accounting = true;

static int set_accounting(const char *text, const struct kernel_param *kp)
{
	int r = param_set_bool(text, kp);

	if (r)
		return r;
	if (accounting)
		static_branch_enable(&host_accounting_key);
	else
		static_branch_disable(&host_accounting_key);
	return 0;
}

static const struct kernel_param_ops accounting_ops = { .set = set_accounting, .get = param_get_bool };
module_param_cb(accounting, &accounting_ops, &accounting, 0644);
MODULE_PARM_DESC(accounting, "Account for every VM exit (default: on)");

/* --- The list. Readers hold the lock only to find a VM, never while they copy. --- */

static DEFINE_MUTEX(list_lock);
static LIST_HEAD(alive);
static LIST_HEAD(ended);
static u64 last_id;
static u32 nr_ended, nr_ended_vcpus, nr_sessions;

static void stats_vm_free(struct kref *ref)
{
	struct stats_vm *s = container_of(ref, struct stats_vm, ref);
	u32 i;

	for (i = 0; i < VM_MAX_VCPUS; i++) {
		stats_destroy(s->vcpu[i]);
		put_pid(rcu_dereference_protected(s->thread[i], true));
	}
	put_pid(s->pid);
	kvfree(s);
}

void stats_vm_get(struct stats_vm *s)
{
	kref_get(&s->ref);
}

void stats_vm_put(struct stats_vm *s)
{
	kref_put(&s->ref, stats_vm_free);
}

int stats_vm_begin(struct host_vm *hvm)
{
	struct stats_vm *s = kvzalloc(sizeof(*s), GFP_KERNEL_ACCOUNT);

	if (!s)
		return -ENOMEM;
	kref_init(&s->ref);
	s->created_ns = ktime_get_boottime_ns();
	s->pid = get_task_pid(current, PIDTYPE_TGID);
	get_task_comm(s->comm, current->group_leader);
	hvm->stats = s;
	stats_vm_get(s);
	mutex_lock(&list_lock);
	s->id = ++last_id;
	list_add_tail(&s->list, &alive);
	mutex_unlock(&list_lock);
	return 0;
}

/* Forgets VMs that have ended, the first to end first, until at most @vms with @vcpus are left. */
static void forget_ended(u32 vms, u32 vcpus)
{
	struct stats_vm *s, *next;

	lockdep_assert_held(&list_lock);
	list_for_each_entry_safe(s, next, &ended, list) {
		if (nr_ended <= vms && (nr_ended_vcpus <= vcpus || nr_ended == 1))
			return;
		nr_ended--;
		nr_ended_vcpus -= s->nr_vcpus;
		list_del(&s->list);
		stats_vm_put(s);
	}
}

void stats_vm_end(struct host_vm *hvm)
{
	struct stats_vm *s = hvm->stats;

	mutex_lock(&list_lock);
	s->ended = true;
	list_move_tail(&s->list, &ended);
	nr_ended++;
	nr_ended_vcpus += s->nr_vcpus;
	if (nr_sessions)
		forget_ended(EXEUNT_MAX_ENDED, EXEUNT_MAX_ENDED_VCPUS);
	else
		forget_ended(0, 0);
	mutex_unlock(&list_lock);
	stats_vm_put(s);
}

void stats_vcpu_publish(struct host_vm *hvm, struct vcpu *v)
{
	struct stats_vm *s = hvm->stats;

	s->max_vcpu_id = max(s->max_vcpu_id, v->id);
	smp_store_release(&s->vcpu[v->id], v->stats);
	smp_store_release(&s->nr_vcpus, s->nr_vcpus + 1);
}

struct pid *stats_vcpu_thread(struct host_vcpu *hv, struct pid *pid)
{
	struct pid __rcu **thread = &hv->hvm->stats->thread[hv->v.id];

	return rcu_replace_pointer(*thread, get_pid(pid), lockdep_is_held(&hv->mutex));
}

static struct stats_vm *find_in(struct list_head *list, u64 id)
{
	struct stats_vm *s;

	list_for_each_entry(s, list, list)
		if (s->id == id)
			return s;
	return NULL;
}

/* With a reference, or NULL. */
static struct stats_vm *find_vm(u64 id)
{
	struct stats_vm *s;

	mutex_lock(&list_lock);
	s = find_in(&alive, id) ?: find_in(&ended, id);
	if (s)
		stats_vm_get(s);
	mutex_unlock(&list_lock);
	return s;
}

/* --- A session's requests. --- */

static void describe(struct stats_vm *s, struct exeunt_vm_entry *e)
{
	*e = (struct exeunt_vm_entry){
		.id = s->id,
		.pid = pid_vnr(s->pid),
		.flags = s->ended ? EXEUNT_VM_ENDED : 0,
		.nr_vcpus = smp_load_acquire(&s->nr_vcpus),
		.max_vcpu_id = READ_ONCE(s->max_vcpu_id),
		.created_ns = s->created_ns,
	};
	memcpy(e->comm, s->comm, sizeof(e->comm));
}

/* Adds the VMs of @list to @nr entries while there is room; the number of all. */
static u32 describe_all(struct list_head *list, struct exeunt_vm_entry *entries, u32 room, u32 nr)
{
	struct stats_vm *s;

	list_for_each_entry(s, list, list) {
		if (nr < room)
			describe(s, &entries[nr]);
		nr++;
	}
	return nr;
}

static long list_vms(struct exeunt_vm_list __user *p)
{
	struct exeunt_vm_entry *entries;
	struct exeunt_vm_list head;
	u32 nr;
	long r = 0;

	if (copy_from_user(&head, p, sizeof(head)))
		return -EFAULT;
	if (head.nr > EXEUNT_MAX_VMS || head.reserved)
		return -EINVAL;
	entries = kvcalloc(head.nr + 1, sizeof(*entries), GFP_KERNEL_ACCOUNT);
	if (!entries)
		return -ENOMEM;
	mutex_lock(&list_lock);
	nr = describe_all(&ended, entries, head.nr, 0);
	nr = describe_all(&alive, entries, head.nr, nr);
	mutex_unlock(&list_lock);
	if (put_user(nr, &p->nr))
		r = -EFAULT;
	else if (nr > head.nr)
		r = -E2BIG;
	else if (copy_to_user(p->vms, entries, array_size(nr, sizeof(*entries))))
		r = -EFAULT;
	kvfree(entries);
	return r;
}

static pid_t thread_of(struct stats_vm *s, u32 id)
{
	pid_t tid;

	rcu_read_lock();
	tid = pid_vnr(rcu_dereference(s->thread[id]));
	rcu_read_unlock();
	return tid;
}

/* What is read row by row while it changes has to be copied in the kernel first. */
static long copy_stats(struct vcpu_stats *v, struct exeunt_read_vcpu *a)
{
	u32 room = min_t(u32, a->nr_rows, EXEUNT_MAX_ROWS);
	u32 size = min_t(u32, a->counters_size, sizeof(struct exeunt_counters));
	struct exeunt_row *rows = kvcalloc(room + 1, sizeof(*rows), GFP_KERNEL_ACCOUNT);
	struct exeunt_counters *counters = kmalloc(sizeof(*counters), GFP_KERNEL_ACCOUNT);
	long r = -ENOMEM;

	if (!rows || !counters)
		goto out;
	r = 0;
	stats_read_counters(v, counters);
	a->nr_rows = stats_read_rows(v, rows, room);
	a->counters_size = a->nr_rows > room ? 0 : size;
	a->now = host_tsc();
	if (a->nr_rows > room)
		r = -E2BIG;
	else if (copy_to_user(u64_to_user_ptr(a->rows), rows, array_size(a->nr_rows, sizeof(*rows))) ||
		 copy_to_user(u64_to_user_ptr(a->counters), counters, size))
		r = -EFAULT;
out:
	kfree(counters);
	kvfree(rows);
	return r;
}

static long read_vcpu(struct exeunt_read_vcpu __user *p)
{
	struct exeunt_read_vcpu a;
	struct vcpu_stats *v = NULL;
	struct stats_vm *s;
	long r = -ENOENT;

	if (copy_from_user(&a, p, sizeof(a)))
		return -EFAULT;
	s = find_vm(a.vm_id);
	if (!s)
		return -ENOENT;
	if (a.vcpu_id < VM_MAX_VCPUS) {
		a.vcpu_id = array_index_nospec(a.vcpu_id, VM_MAX_VCPUS);
		v = smp_load_acquire(&s->vcpu[a.vcpu_id]);
	}
	if (v) {
		a.tid = thread_of(s, a.vcpu_id);
		r = copy_stats(v, &a);
		if ((!r || r == -E2BIG) && copy_to_user(p, &a, sizeof(a)))
			r = -EFAULT;
	}
	stats_vm_put(s);
	return r;
}

static long session_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *p = (void __user *)arg;

	switch (cmd) {
	case EXEUNT_LIST_VMS:
		return list_vms(p);
	case EXEUNT_READ_VCPU:
		return read_vcpu(p);
	}
	return -ENOTTY;
}

static int session_release(struct inode *inode, struct file *file)
{
	mutex_lock(&list_lock);
	if (!--nr_sessions)
		forget_ended(0, 0);
	mutex_unlock(&list_lock);
	return 0;
}

static const struct file_operations session_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = session_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.release = session_release,
	.llseek = noop_llseek,
};

static long open_session(void)
{
	int fd;

	if (!perfmon_capable())
		return -EPERM;
	mutex_lock(&list_lock);
	fd = anon_inode_getfd("exeunt-stats", &session_fops, NULL, O_RDWR | O_CLOEXEC);
	if (fd >= 0)
		nr_sessions++;
	mutex_unlock(&list_lock);
	return fd;
}

static long get_info(struct exeunt_info __user *p, bool owns_dev_kvm)
{
	struct exeunt_info info = {
		.version = EXEUNT_STATS_VERSION,
		.isa = VENDOR_ISA,
		.cycles_khz = host_tsc_khz(),
		.hist_shift = STATS_HIST_SHIFT,
		.accounting = accounting,
		.counters_size = sizeof(struct exeunt_counters),
		.owns_dev_kvm = owns_dev_kvm,
	};

	return copy_to_user(p, &info, sizeof(info)) ? -EFAULT : 0;
}

long stats_device_ioctl(unsigned int cmd, void __user *p, bool owns_dev_kvm)
{
	switch (cmd) {
	case EXEUNT_GET_INFO:
		return get_info(p, owns_dev_kvm);
	case EXEUNT_OPEN_STATS:
		return open_session();
	}
	return -ENOTTY;
}
