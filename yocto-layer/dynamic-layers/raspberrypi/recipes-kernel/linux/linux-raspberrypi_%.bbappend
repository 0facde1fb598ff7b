# SPDX-License-Identifier: MIT

FILESEXTRAPATHS:prepend:silverstream-os := "${THISDIR}/files:"

# Only in the distribution silverstream-os: another one keeps its kernel.
SRC_URI:append:silverstream-os = " file://silverstream.cfg"
