// SPDX-License-Identifier: GPL-2.0
/*
 * KVM_GET_STATS_FD: a vCPU's or a VM's statistics in KVM's binary format (Documentation/virt/kvm/api.rst, 4.133): a header, an id,
 * descriptors, values. Owns the list of what is offered there. Names that upstream has mean what they mean there; the others are
 * Exeunt's: for each exit reason a count, the cycles outside the guest, and their histogram.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/log2.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/trace_events.h>
#include <linux/uaccess.h>
#include "vm_stats.h"

#define NAME_SIZE	48
#define ID_SIZE		48
/* Powers of two of cycles, as far as the rows' histograms reach; the last takes the rest. The first also has 1 to 15 cycles. */
#define LOG_BUCKETS	(STATS_HIST_BITS + 1)

struct desc {
	struct kvm_stats_desc d;
	char name[NAME_SIZE];
};

/* What a value is made of. */
enum of {
	OF_COUNTER,	/* u64s of struct exeunt_counters from .offset */
	OF_EXITS,	/* count of all rows */
	OF_INTERRUPTS,	/* sum of the counters by vector */
	OF_REASON,	/* count of a reason's rows */
	OF_CYCLES,	/* their time */
	OF_HIST,	/* their histogram, by powers of two */
	OF_UNNAMED,	/* count of the rows of reasons that have no name */
	OF_OUTCOME,	/* count of the rows with this outcome */
	OF_HALTS,	/* one of the halts' histograms */
	OF_VCPUS,
};

struct statistic {
	const char *name;
	enum of of;
	u32 flags;	/* KVM_STATS_TYPE_* | UNIT_* | BASE_* */
	s16 exponent;
	u16 size;	/* values */
	u32 arg;	/* offset, reason, outcome or enum stats_halt */
};

#define COUNT		(KVM_STATS_TYPE_CUMULATIVE | KVM_STATS_UNIT_NONE | KVM_STATS_BASE_POW10)
#define NANOSECONDS	(KVM_STATS_TYPE_CUMULATIVE | KVM_STATS_UNIT_SECONDS | KVM_STATS_BASE_POW10)
#define CYCLES		(KVM_STATS_TYPE_CUMULATIVE | KVM_STATS_UNIT_CYCLES | KVM_STATS_BASE_POW10)
#define ARRAY		(KVM_STATS_TYPE_LINEAR_HIST | KVM_STATS_UNIT_NONE | KVM_STATS_BASE_POW10)
#define HALTS		(KVM_STATS_TYPE_LOG_HIST | KVM_STATS_UNIT_SECONDS | KVM_STATS_BASE_POW10)
#define LOG_HIST	(KVM_STATS_TYPE_LOG_HIST | KVM_STATS_UNIT_CYCLES | KVM_STATS_BASE_POW10)

#define C(field)	offsetof(struct exeunt_counters, field)
#define COUNTERS(n, field)	{ n, OF_COUNTER, ARRAY, 0, sizeof_field(struct exeunt_counters, field) / sizeof(u64), C(field) }

static const struct statistic fixed_statistics[] = {
	{ "exits", OF_EXITS, COUNT, 0, 1 },
	{ "halt_exits", OF_REASON, COUNT, 0, 1, SVM_EXIT_HLT },
	{ "irq_exits", OF_REASON, COUNT, 0, 1, SVM_EXIT_INTR },
	{ "nmi_window_exits", OF_REASON, COUNT, 0, 1, SVM_EXIT_IRET },
	{ "irq_window_exits", OF_REASON, COUNT, 0, 1, SVM_EXIT_VINTR },
	{ "signal_exits", OF_COUNTER, COUNT, 0, 1, C(user_exits[KVM_EXIT_INTR]) },
	{ "io_exits", OF_REASON, COUNT, 0, 1, SVM_EXIT_IOIO },
	{ "mmio_exits", OF_COUNTER, COUNT, 0, 1, C(user_exits[KVM_EXIT_MMIO]) },
	{ "hypercalls", OF_REASON, COUNT, 0, 1, SVM_EXIT_VMMCALL },
	{ "irq_injections", OF_INTERRUPTS, COUNT, 0, 1 },
	{ "nmi_injections", OF_COUNTER, COUNT, 0, 1, C(nmis) },
	{ "halt_attempted_poll", OF_COUNTER, COUNT, 0, 1, C(halt_polls) },
	{ "halt_successful_poll", OF_COUNTER, COUNT, 0, 1, C(halt_polls_won) },
	{ "halt_poll_success_ns", OF_COUNTER, NANOSECONDS, -9, 1, C(halt_poll_won_ns) },
	{ "halt_poll_fail_ns", OF_COUNTER, NANOSECONDS, -9, 1, C(halt_poll_lost_ns) },
	{ "halt_wait_ns", OF_COUNTER, NANOSECONDS, -9, 1, C(halt_wait_ns) },
	{ "halt_wakeup", OF_COUNTER, COUNT, 0, 1, C(halt_wakes) },
	{ "halt_poll_success_hist", OF_HALTS, HALTS, -9, STATS_HALT_BUCKETS, STATS_POLL_WON },
	{ "halt_poll_fail_hist", OF_HALTS, HALTS, -9, STATS_HALT_BUCKETS, STATS_POLL_LOST },
	{ "halt_wait_hist", OF_HALTS, HALTS, -9, STATS_HALT_BUCKETS, STATS_WAIT },
	{ "halt_wake_ns", OF_COUNTER, NANOSECONDS, -9, 1, C(halt_wake_ns) },
	{ "halt_wake_hist", OF_HALTS, HALTS, -9, STATS_HALT_BUCKETS, STATS_WAKE },
	{ "exit_other", OF_UNNAMED, COUNT, 0, 1 },
	{ "exits_kernel", OF_OUTCOME, COUNT, 0, 1, EXEUNT_KERNEL },
	{ "exits_user", OF_OUTCOME, COUNT, 0, 1, EXEUNT_USER },
	{ "exits_fast", OF_OUTCOME, COUNT, 0, 1, EXEUNT_FAST },
	{ "runs", OF_COUNTER, COUNT, 0, 1, C(runs) },
	{ "preemptions", OF_COUNTER, COUNT, 0, 1, C(preemptions) },
	{ "halts", OF_COUNTER, COUNT, 0, 1, C(halts) },
	{ "rows_lost", OF_COUNTER, COUNT, 0, 1, C(rows_lost) },
	{ "fpu_touched", OF_COUNTER, COUNT, 0, 1, C(fpu_touched) },
	{ "fpu_untouched", OF_COUNTER, COUNT, 0, 1, C(fpu_untouched) },
	{ "fpu_host_saves", OF_COUNTER, COUNT, 0, 1, C(fpu_host_saves) },
	{ "fpu_guest_loads", OF_COUNTER, COUNT, 0, 1, C(fpu_guest_loads) },
	COUNTERS("user_exits_by_reason", user_exits),
	COUNTERS("irq_injections_by_vector", interrupts),
	COUNTERS("exceptions_by_vector", exceptions),
	COUNTERS("ipis_by_mode", ipis),
	COUNTERS("ipi_targets_by_state", ipi_targets),
	{ "vcpus", OF_VCPUS, KVM_STATS_TYPE_INSTANT | KVM_STATS_UNIT_NONE | KVM_STATS_BASE_POW10, 0, 1 },
};

static const struct trace_print_flags reasons[] = { SVM_EXIT_NAMES };

/* Index in reasons[], or its length. */
static u32 reason_index(u32 reason)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(reasons); i++)
		if ((reasons[i].mask & 0xfff) == reason)
			break;
	return i;
}

static const struct statistic per_reason[] = {
	{ "exit_%s", OF_REASON, COUNT, 0, 1 },
	{ "exit_%s_cycles", OF_CYCLES, CYCLES, 0, 1 },
	{ "exit_%s_hist", OF_HIST, LOG_HIST, 0, LOG_BUCKETS },
};
#define PER_REASON	ARRAY_SIZE(per_reason)
#define NR_STATS	(ARRAY_SIZE(fixed_statistics) + PER_REASON * ARRAY_SIZE(reasons))

/* --- The values. --- */

static u32 log_bucket(u32 bucket)
{
	/* The inverse of struct exeunt_row's rule: the lowest value in the bucket. */
	u64 low = bucket < 16 ? bucket : (u64)(8 + bucket % 8) << (bucket / 8 - 1);

	low <<= STATS_HIST_SHIFT;
	return low ? min_t(u32, ilog2(low) + 1, LOG_BUCKETS - 1) : 0;
}

static void add_hist(u64 *values, const struct exeunt_row *r)
{
	for (u32 i = 0; i < EXEUNT_HIST_BUCKETS; i++)
		values[log_bucket(i)] += r->hist[i];
}

static u32 nr_fixed_values(void)
{
	u32 nr = 0;

	for (u32 i = 0; i < ARRAY_SIZE(fixed_statistics); i++)
		nr += fixed_statistics[i].size;
	return nr;
}

#define VALUES_PER_REASON	(2 + LOG_BUCKETS)

static u32 nr_values(void)
{
	return nr_fixed_values() + VALUES_PER_REASON * ARRAY_SIZE(reasons);
}

/* What the row @r adds to the fixed statistic @s. */
static u64 row_adds(const struct statistic *s, const struct exeunt_row *r, bool named)
{
	bool counts = s->of == OF_EXITS ||
		      (s->of == OF_UNNAMED && !named) ||
		      (s->of == OF_OUTCOME && EXEUNT_KEY_OUTCOME(r->key) == s->arg) ||
		      (s->of == OF_REASON && EXEUNT_KEY_REASON(r->key) == s->arg);

	return counts ? r->count : 0;
}

static void add_row(const struct exeunt_row *r, u64 *values)
{
	u32 reason = reason_index(EXEUNT_KEY_REASON(r->key));
	bool named = reason < ARRAY_SIZE(reasons);

	for (u32 i = 0; i < ARRAY_SIZE(fixed_statistics); i++) {
		values[0] += row_adds(&fixed_statistics[i], r, named);
		values += fixed_statistics[i].size;
	}
	if (!named)
		return;
	values += reason * VALUES_PER_REASON;
	values[0] += r->count;
	values[1] += r->total;
	add_hist(values + 2, r);
}

static void add_counters(const struct exeunt_counters *c, u64 *values)
{
	for (u32 i = 0; i < ARRAY_SIZE(fixed_statistics); i++) {
		const struct statistic *s = &fixed_statistics[i];
		const u64 *from = s->of == OF_COUNTER ? (const void *)c + s->arg : c->interrupts;
		u32 nr = s->of == OF_COUNTER ? s->size : s->of == OF_INTERRUPTS ? ARRAY_SIZE(c->interrupts) : 0;

		for (u32 k = 0; k < nr; k++)
			values[s->of == OF_COUNTER ? k : 0] += from[k];
		if (s->of == OF_VCPUS)
			values[0]++;
		values += s->size;
	}
}

static void add_halts(const struct vcpu_stats *v, u64 *values)
{
	for (u32 i = 0; i < ARRAY_SIZE(fixed_statistics); i++) {
		const struct statistic *s = &fixed_statistics[i];

		for (u32 k = 0; s->of == OF_HALTS && k < s->size; k++)
			values[k] += v->halt_hist[s->arg][k];
		values += s->size;
	}
}

/* --- The file: header, id, descriptors, values, as one image. --- */

#define ID_OFFSET	sizeof(struct kvm_stats_header)
#define DESC_OFFSET	(ID_OFFSET + ID_SIZE)
#define DATA_OFFSET	(DESC_OFFSET + NR_STATS * sizeof(struct desc))

struct stats_file {
	struct stats_vm *vm;
	u32 vcpu_id;	/* or STATS_ALL_VCPUS */
};

static void write_desc(struct desc *out, const struct statistic *s, const char *reason, u32 *offset)
{
	snprintf(out->name, NAME_SIZE, s->name, reason);
	strreplace(out->name, ' ', '_');
	out->d = (struct kvm_stats_desc){
		.flags = s->flags,
		.exponent = s->exponent,
		.size = s->size,
		.offset = *offset,
		.bucket_size = (s->flags & KVM_STATS_TYPE_MASK) == KVM_STATS_TYPE_LINEAR_HIST,
	};
	*offset += s->size * sizeof(u64);
}

static void write_descs(struct desc *out)
{
	u32 offset = 0;

	for (u32 i = 0; i < ARRAY_SIZE(fixed_statistics); i++)
		write_desc(out++, &fixed_statistics[i], "", &offset);
	for (u32 i = 0; i < ARRAY_SIZE(reasons); i++)
		for (u32 k = 0; k < PER_REASON; k++)
			write_desc(out++, &per_reason[k], reasons[i].name, &offset);
}

static void write_head(const struct stats_file *f, char *image)
{
	struct kvm_stats_header *h = (void *)image;
	char *id = image + ID_OFFSET;

	*h = (struct kvm_stats_header){
		.name_size = NAME_SIZE,
		.num_desc = NR_STATS,
		.id_offset = ID_OFFSET,
		.desc_offset = DESC_OFFSET,
		.data_offset = DATA_OFFSET,
	};
	if (f->vcpu_id == STATS_ALL_VCPUS)
		snprintf(id, ID_SIZE, "kvm-%d", pid_vnr(f->vm->pid));
	else
		snprintf(id, ID_SIZE, "kvm-%d/vcpu-%u", pid_vnr(f->vm->pid), f->vcpu_id);
	write_descs((void *)(image + DESC_OFFSET));
}

/* What one row, or all counters, of a vCPU are copied to. */
struct scratch {
	struct exeunt_counters counters;
	struct exeunt_row row;
};

static void add_vcpu(const struct vcpu_stats *v, struct scratch *scratch, u64 *values)
{
	u32 nr = smp_load_acquire(&v->nr_rows);

	stats_read_counters(v, &scratch->counters);
	add_counters(&scratch->counters, values);
	add_halts(v, values);
	for (u32 i = 0; i < nr; i++) {
		stats_read_row(v->row[i], &scratch->row);
		add_row(&scratch->row, values);
	}
}

static int write_values(const struct stats_file *f, u64 *values)
{
	struct scratch *scratch = kmalloc(sizeof(*scratch), GFP_KERNEL_ACCOUNT);
	int r = 0;

	if (!scratch)
		return -ENOMEM;
	for (u32 i = 0; i < VM_MAX_VCPUS && !r; i++) {
		struct vcpu_stats *v = smp_load_acquire(&f->vm->vcpu[i]);

		if (!v || (f->vcpu_id != STATS_ALL_VCPUS && f->vcpu_id != i))
			continue;
		add_vcpu(v, scratch, values);
		cond_resched();
		r = fatal_signal_pending(current) ? -EINTR : 0;
	}
	kfree(scratch);
	return r;
}

static ssize_t stats_read(struct file *file, char __user *buf, size_t len, loff_t *pos)
{
	size_t size = DATA_OFFSET + nr_values() * sizeof(u64);
	struct stats_file *f = file->private_data;
	char *image = kvzalloc(size, GFP_KERNEL_ACCOUNT);
	ssize_t r = 0;

	if (!image)
		return -ENOMEM;
	if (*pos < DATA_OFFSET)
		write_head(f, image);
	/* Readers take header and descriptors once and the values many times. */
	if (*pos < size && len > 0 && *pos + (loff_t)min(len, size) > DATA_OFFSET)
		r = write_values(f, (void *)(image + DATA_OFFSET));
	if (!r)
		r = simple_read_from_buffer(buf, len, pos, image, size);
	kvfree(image);
	return r;
}

static int stats_release(struct inode *inode, struct file *file)
{
	struct stats_file *f = file->private_data;

	stats_vm_put(f->vm);
	kfree(f);
	return 0;
}

static const struct file_operations stats_fops = {
	.owner = THIS_MODULE,
	.read = stats_read,
	.release = stats_release,
	.llseek = noop_llseek,
};

int stats_fd_create(struct stats_vm *s, u32 vcpu_id)
{
	struct stats_file *f = kzalloc(sizeof(*f), GFP_KERNEL_ACCOUNT);
	struct file *file;
	int fd;

	if (!f)
		return -ENOMEM;
	f->vm = s;
	f->vcpu_id = vcpu_id;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		goto fail;
	file = anon_inode_getfile(vcpu_id == STATS_ALL_VCPUS ? "kvm-vm-stats" : "kvm-vcpu-stats", &stats_fops, f, O_RDONLY);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		fd = PTR_ERR(file);
		goto fail;
	}
	file->f_mode |= FMODE_PREAD;
	stats_vm_get(s);
	fd_install(fd, file);
	return fd;
fail:
	kfree(f);
	return fd;
}
