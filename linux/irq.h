/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Interrupts from outside the guest's CPUs: the GSI routing table, KVM_SIGNAL_MSI and KVM_IRQ_LINE,
 * for the split irqchip. irq.c owns struct host_irq.
 */
#ifndef EXEUNT_LINUX_IRQ_H
#define EXEUNT_LINUX_IRQ_H

#include <linux/kvm.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/types.h>

struct host_vm;
struct irq_table;

/* GSIs are below this, and so is the number of routes: what KVM_CAP_IRQ_ROUTING reports. */
#define HOST_MAX_IRQ_ROUTES	4096

struct host_irq {
	struct mutex lock;		/* writers of @table */
	struct irq_table __rcu *table;	/* readers hold host_vm.srcu; NULL: no routes yet */
};

void host_irq_init(struct host_vm *hvm);
/* Nobody can deliver any more: the irqfds are released. */
void host_irq_destroy(struct host_vm *hvm);

/*
 * Delivers what @gsi is routed to. The number of vCPUs reached; -1 if it has no route. Any context,
 * interrupts may be off.
 */
int host_irq_deliver(struct host_vm *hvm, u32 gsi);

/*
 * KVM_SET_GSI_ROUTING: replaces the table; when it returns nothing is delivered by the old one.
 * @entries is @head->nr long. -EINVAL: no irqchip, an unknown flag, type or GSI, a GSI twice, more
 * than HOST_MAX_IRQ_ROUTES; -ENOMEM. May sleep.
 */
int vm_ioctl_set_gsi_routing(struct host_vm *hvm, const struct kvm_irq_routing *head,
			     const struct kvm_irq_routing_entry *entries);
/*
 * KVM_SIGNAL_MSI: the number of vCPUs reached; -EINVAL for no irqchip, a flag, or an address that
 * no APIC can have.
 */
int vm_ioctl_signal_msi(struct host_vm *hvm, const struct kvm_msi *msi);
/*
 * KVM_IRQ_LINE and, with @status, KVM_IRQ_LINE_STATUS: level 1 delivers the MSI that the GSI is
 * routed to, level 0 does nothing.
 * @level->status: vCPUs reached, or -1: ignored. Returns 0; -ENXIO without an irqchip.
 */
int vm_ioctl_irq_line(struct host_vm *hvm, struct kvm_irq_level *level, bool status);

#endif
