// SPDX-License-Identifier: Apache-2.0
#pragma once

// Xen's C interfaces, in the one place that knows their quirks: they carry no linkage
// specification, and some of their inline functions do not pass our warnings.

#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wconversion"
#pragma clang diagnostic ignored "-Wsign-conversion"
#pragma clang diagnostic ignored "-Wshadow"
#pragma clang diagnostic ignored "-Wzero-length-array"
extern "C" {
// clang-format off: the public headers below need what xenctrl.h defines first.
#include <xenctrl.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>
#include <xenguest.h>
#include <xentoollog.h>
#include <xen/elfnote.h>
#include <xen/hvm/e820.h>
#include <xen/hvm/params.h>
#include <xen/io/console.h>
#include <xen/io/xs_wire.h>
// clang-format on
}
#pragma clang diagnostic pop
