// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

// The kernel's headers for its Xen devices, whose types they leave to whoever includes them.
using domid_t = uint16_t;
using grant_ref_t = uint32_t;

#include <sys/ioctl.h>
#include <xen/evtchn.h>
#include <xen/gntalloc.h>
// gntdev.h names the same two actions again, as the same numbers.
#undef UNMAP_NOTIFY_CLEAR_BYTE
#undef UNMAP_NOTIFY_SEND_EVENT
#include <xen/gntdev.h>
