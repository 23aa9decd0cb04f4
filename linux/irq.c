// SPDX-License-Identifier: GPL-2.0
/*
 * The GSI routing table of a VM with a split irqchip: each GSI is an MSI, those of the VMM's IOAPIC
 * included. Owns struct host_irq. The table is replaced as a whole and read under the VM's SRCU, so
 * that an interrupt takes no lock.
 */
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/overflow.h>
#include <linux/srcu.h>

#include "x86/vcpu.h"
#include "vm.h"

/* Data bit 15 of an MSI: level-triggered (APM vol. 2, 16.13.2). */
#define MSI_DATA_LEVEL	BIT(15)

struct irq_route {
	u32 address_lo, address_hi, data;
	bool valid;
};

struct irq_table {
	u32 nr_gsis;
	struct irq_route routes[];	/* by GSI */
};

static struct host_vm *host_vm_of(struct vm *vm)
{
	return container_of(vm, struct host_vm, vm);
}

/* Copies the route of @gsi. False if it has none. Any context. */
static bool find_route(struct host_vm *hvm, u32 gsi, struct irq_route *route)
{
	struct irq_table *table;
	bool found = false;
	int idx;

	idx = srcu_read_lock(&hvm->srcu);
	table = srcu_dereference(hvm->irq.table, &hvm->srcu);
	if (table && gsi < table->nr_gsis) {
		*route = table->routes[array_index_nospec(gsi, table->nr_gsis)];
		found = route->valid;
	}
	srcu_read_unlock(&hvm->srcu, idx);
	return found;
}

int host_irq_deliver(struct host_vm *hvm, u32 gsi)
{
	struct irq_route route;

	if (!find_route(hvm, gsi, &route))
		return -1;
	return lapic_deliver_msi(&hvm->vm, route.address_lo, route.address_hi, route.data);
}

/*
 * With 32-bit APIC ids the upper address holds their bits 31:8 and nothing else
 * (KVM_CAP_X2APIC_API).
 */
static bool msi_valid(struct host_vm *hvm, u32 address_hi)
{
	return !hvm->vm.x2apic_ids32 || !(address_hi & 0xff);
}

static int add_route(struct host_vm *hvm, struct irq_table *table,
		     const struct kvm_irq_routing_entry *e)
{
	struct irq_route *route = &table->routes[e->gsi];

	if (e->type != KVM_IRQ_ROUTING_MSI || e->flags || route->valid ||
	    !msi_valid(hvm, e->u.msi.address_hi))
		return -EINVAL;
	route->address_lo = e->u.msi.address_lo;
	route->address_hi = e->u.msi.address_hi;
	route->data = e->u.msi.data;
	route->valid = true;
	return 0;
}

/* An ERR_PTR, or the table that @entries ask for. */
static struct irq_table *build_table(struct host_vm *hvm,
				     const struct kvm_irq_routing_entry *entries, u32 nr)
{
	struct irq_table *table;
	u32 i, nr_gsis = 0;
	int r;

	for (i = 0; i < nr; i++) {
		if (entries[i].gsi >= HOST_MAX_IRQ_ROUTES)
			return ERR_PTR(-EINVAL);
		nr_gsis = max(nr_gsis, entries[i].gsi + 1);
	}
	table = kvzalloc(struct_size(table, routes, nr_gsis), GFP_KERNEL_ACCOUNT);
	if (!table)
		return ERR_PTR(-ENOMEM);
	table->nr_gsis = nr_gsis;
	for (i = 0; i < nr; i++) {
		r = add_route(hvm, table, &entries[i]);
		if (r) {
			kvfree(table);
			return ERR_PTR(r);
		}
	}
	return table;
}

/*
 * The routes of the VMM's IOAPIC are the same in both tables: a VMM that routes a device's MSI
 * changes nothing for EOIs.
 */
static bool same_ioapic_routes(const struct irq_table *a, const struct irq_table *b, u32 pins)
{
	u32 nr_a = a ? min(a->nr_gsis, pins) : 0, nr_b = min(b->nr_gsis, pins);

	return nr_a == nr_b &&
	       (!nr_a || !memcmp(a->routes, b->routes, array_size(nr_a, sizeof(*a->routes))));
}

static void request_ioapic_scan(struct vm *vm)
{
	struct vcpu *v;
	u32 i;

	vm_for_each_vcpu(vm, v, i) {
		vcpu_request(v, REQ_IOAPIC_SCAN);
		host_kick(v);
	}
}

int vm_ioctl_set_gsi_routing(struct host_vm *hvm, const struct kvm_irq_routing *head,
			     const struct kvm_irq_routing_entry *entries)
{
	struct irq_table *old, *new;

	if (!hvm->vm.irqchip_split || head->flags || head->nr > HOST_MAX_IRQ_ROUTES)
		return -EINVAL;
	new = build_table(hvm, entries, head->nr);
	if (IS_ERR(new))
		return PTR_ERR(new);

	mutex_lock(&hvm->irq.lock);
	old = rcu_replace_pointer(hvm->irq.table, new, lockdep_is_held(&hvm->irq.lock));
	synchronize_srcu_expedited(&hvm->srcu);
	if (!same_ioapic_routes(old, new, hvm->vm.nr_ioapic_pins))
		request_ioapic_scan(&hvm->vm);
	mutex_unlock(&hvm->irq.lock);
	kvfree(old);
	return 0;
}

/*
 * The VMM's IOAPIC wants to see the EOI of this level-triggered interrupt on @v: it may go there,
 * or is there already.
 */
static bool wants_eoi(struct vcpu *v, const struct irq_route *route, u8 *vector)
{
	struct apic_msg msg;

	if (!route->valid || !(route->data & MSI_DATA_LEVEL))
		return false;
	lapic_decode_msi(v->vm, route->address_lo, route->address_hi, route->data, &msg);
	*vector = msg.vector;
	return lapic_msg_matches(v, NULL, &msg) || lapic_vector_in_flight(v, msg.vector);
}

void host_scan_ioapic_routes(struct vcpu *v, u64 eoi_exit[4])
{
	struct host_vm *hvm = host_vm_of(v->vm);
	struct irq_table *table;
	u64 vectors[4] = { };
	u32 gsi, nr = 0;
	u8 vector;
	int idx;

	idx = srcu_read_lock(&hvm->srcu);
	table = srcu_dereference(hvm->irq.table, &hvm->srcu);
	if (table)
		nr = min(table->nr_gsis, v->vm->nr_ioapic_pins);
	for (gsi = 0; gsi < nr; gsi++)
		if (wants_eoi(v, &table->routes[gsi], &vector))
			vectors[vector / 64] |= BIT_ULL(vector % 64);
	srcu_read_unlock(&hvm->srcu, idx);
	memcpy(eoi_exit, vectors, sizeof(vectors));
}

int vm_ioctl_signal_msi(struct host_vm *hvm, const struct kvm_msi *msi)
{
	if (!hvm->vm.irqchip_split || msi->flags || !msi_valid(hvm, msi->address_hi))
		return -EINVAL;
	return lapic_deliver_msi(&hvm->vm, msi->address_lo, msi->address_hi, msi->data);
}

int vm_ioctl_irq_line(struct host_vm *hvm, struct kvm_irq_level *level, bool status)
{
	int reached = -1;

	if (!hvm->vm.irqchip_split)
		return -ENXIO;
	if (level->level)
		reached = host_irq_deliver(hvm, level->irq);
	if (status)
		level->status = reached;
	return 0;
}

void host_irq_init(struct host_vm *hvm)
{
	mutex_init(&hvm->irq.lock);
}

void host_irq_destroy(struct host_vm *hvm)
{
	kvfree(rcu_dereference_protected(hvm->irq.table, true));
}
