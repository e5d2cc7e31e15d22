// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/exception.h>
#include <kj/string.h>

#include "schemas/common.capnp.h"

namespace bulkhead {

using schema::FailureCode;

// A typed error: what a caller can act on, wherever the call went. Cap'n Proto carries an exception
// as one line of text, so the fields travel inside its description, between separators that no
// field can hold. `fail()` throws one; `failureOf()` finds it again on the far side of any number
// of processes.
struct Failure {
  FailureCode code;
  kj::String subject;  // the thing it concerns: an image reference, a zone's name
  kj::String message;  // what went wrong, without a full stop
  kj::String hint;     // what to do next; may be empty

  kj::Exception toException() const;

  // "subject: message (hint)": for a person, control characters escaped.
  kj::String describe() const;

  Failure clone() const;
};

Failure failure(FailureCode code, kj::StringPtr subject, kj::StringPtr message,
                kj::StringPtr hint = "");

// Throws `failure(...)` as an exception.
[[noreturn]] void fail(FailureCode code, kj::StringPtr subject, kj::StringPtr message,
                       kj::StringPtr hint = "");

// The failure an exception carries. One that carries none becomes `internal`, or `unsupported` for
// Cap'n Proto's own unimplemented, with the exception's description as its message.
Failure failureOf(const kj::Exception& exception);

// Whether the exception carries a failure with this code.
bool isFailure(const kj::Exception& exception, FailureCode code);

// Whether the far side is gone, as opposed to one that refused: the call may be made again on a new
// connection.
bool isDisconnected(const kj::Exception& exception);

// "notFound": the code's name as the schema spells it.
kj::StringPtr codeName(FailureCode code);

// Text that is safe on a terminal and in a log: control characters and invalid UTF-8 lead bytes
// appear as \xNN, and at most `limit` bytes of the input are shown.
kj::String printable(kj::ArrayPtr<const char> text, size_t limit = 1024);

}  // namespace bulkhead
