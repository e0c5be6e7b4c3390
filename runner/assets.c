/* SPDX-License-Identifier: Apache-2.0 */
/* Style sheet and scripts, compiled in; their address holds their digest. */
#include <stdio.h>
#include <string.h>

#include "runner/web-internal.h"

#include "runner/assets.inc"

/* The table ends with a row without a name. */
static char urls[ARRAY_SIZE(assets)][64];

const struct asset *asset_find(const char *hashed_name)
{
	for (size_t i = 0; assets[i].name; i++) {
		const char *url = asset_url(assets[i].name);

		if (strcmp(url + strlen("/static/"), hashed_name) == 0)
			return &assets[i];
	}
	return NULL;
}

const char *asset_url(const char *name)
{
	for (size_t i = 0; assets[i].name; i++) {
		const char *dot = strrchr(assets[i].name, '.');

		if (strcmp(assets[i].name, name) != 0)
			continue;
		if (!urls[i][0])
			snprintf(urls[i], sizeof(urls[i]), "/static/%.16s%s", assets[i].hash,
				dot ? dot : "");
		return urls[i];
	}
	return "/static/none";
}
