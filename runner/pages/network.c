/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger: what jobs and their steps talked to, and what was refused them. */
#include "base/strbuf.h"
#include "runner/html.h"
#include "runner/web-internal.h"

void part_net_cells(struct strbuf *out, const struct json *n)
{
	const char *verdict = json_get_str(n, "verdict", ""),
		   *allow = json_get_str(n, "allow", "");

	html_put(out, "<td class=\"mono\">$", json_get_str(n, "host", ""));
	if (json_get_int(n, "port", 0)) /* none: all that a route carried */
		html_put(out, ":#", (long long)json_get_int(n, "port", 0));
	strbuf_adds(out, "</td><td>");
	if (!str_eq(verdict, "allowed"))
		html_put(out, "<b class=\"fail\">$</b> ", verdict);
	html_text(out, json_get_str(n, "rule", ""));
	if (allow[0])
		html_put(out, "<br><span class=\"dim\">Allow with: <code>$</code></span>", allow);
	strbuf_adds(out, "</td><td class=\"num\">");
	html_count(out, json_get_int(n, "count", 1));
	strbuf_adds(out, "</td><td class=\"num\">");
	html_bytes(out, json_get_int(n, "bytes_out", 0));
	strbuf_adds(out, "</td><td class=\"num\">");
	html_bytes(out, json_get_int(n, "bytes_in", 0));
	strbuf_adds(out, "</td></tr>");
}

void part_run_net(struct strbuf *out, const struct json *run)
{
	static const char *const heads[] = { "Job", "Host", "Rule", ">Times", ">Out", ">In", NULL };
	const struct json *net = json_get(run, "net");

	if (json_count(net) == 0)
		return;
	page_table(out, "Network ledger", "what this run talked to", heads);
	for (size_t i = 0; i < json_count(net); i++) {
		const struct json *n = json_at(net, i);

		html_put(out, "<tr><td><a href=\"/jobs/#/network\">$</a></td>",
			(long long)json_get_int(n, "job_id", 0), json_get_str(n, "job", ""));
		part_net_cells(out, n);
	}
	page_table_end(out);
}
