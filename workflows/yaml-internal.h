/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by loading and reading. */
#ifndef WORKFLOWS_YAML_INTERNAL_H
#define WORKFLOWS_YAML_INTERNAL_H

#include "workflows/yaml.h"

/* Bytes of the source before a line and column; its length when there is no such place. */
size_t yaml_byte_of(const struct yaml_doc *doc, unsigned line, unsigned column);

#endif
