/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include "workflows/action.h"

static struct action *parsed(const char *text)
{
	struct diagnostics d = DIAGNOSTICS_INIT;
	struct action *a = NULL;
	struct err err = ERR_INIT;

	assert_ok(action_parse("action.yml", text, strlen(text), &a, &d, &err), &err);
	diagnostics_done(&d);
	return a;
}

static void reads_a_javascript_action(void **state)
{
	_cleanup_(action_freep) struct action *a = parsed(
		"name: N\ndescription: D\nauthor: me\nbranding: {icon: x, color: blue}\n"
		"inputs:\n  Who-To: {description: d, required: true, default: 1.0}\n"
		"  old: {deprecationMessage: use new}\n  bare:\noutputs:\n  time: "
		"{description: t}\n"
		"runs:\n  using: node20\n  main: dist/i.js\n  pre: p.js\n  post: q.js\n"
		"  post-if: success()\n");

	assert_string_equal(a->name, "N");
	assert_int_equal(a->using, ACTION_NODE);
	assert_string_equal(a->using_text, "node20");
	assert_int_equal(a->inputs_len, 3);
	assert_string_equal(action_find_input(a, "WHO-to")->otherwise, "1");
	assert_true(action_find_input(a, "who-to")->is_required);
	assert_string_equal(action_find_input(a, "old")->deprecation, "use new");
	assert_null(action_find_input(a, "bare")->otherwise);
	assert_int_equal(a->outputs_len, 1);
	assert_string_equal(a->outputs[0].name, "time");
	assert_string_equal(a->main, "dist/i.js");
	assert_string_equal(a->pre, "p.js");
	assert_string_equal(a->post, "q.js");
	assert_string_equal(a->pre_if, "always()");
	assert_string_equal(a->post_if, "success()");
}

static void reads_a_composite_with_its_steps(void **state)
{
	_cleanup_(action_freep) struct action *a =
		parsed("inputs: {a: {default: '${{ github.token }}'}}\n"
		       "outputs: {o: {value: '${{ steps.s.outputs.x }}'}}\n"
		       "runs:\n  using: Composite\n  steps:\n"
		       "    - {id: s, run: echo, shell: bash, env: {N: 1}, "
		       "working-directory: w}\n"
		       "    - {uses: ./other, with: {k: true}, if: failure(), "
		       "continue-on-error: true}\n"
		       "    - {run: x, shell: sh}\n    - {run: x, shell: sh}\n");
	_cleanup_free_ char *text = NULL;

	assert_int_equal(a->using, ACTION_COMPOSITE);
	assert_string_equal(a->outputs[0].name, "o");
	assert_string_equal(a->outputs[0].value, "${{ steps.s.outputs.x }}");
	assert_int_equal(json_count(a->steps), 4);
	text = json_text(json_at(a->steps, 0));
	assert_string_equal(text, "{\"id\":\"s\",\"generated_id\":false,\"run\":\"echo\","
				  "\"shell\":\"bash\",\"env\":{\"N\":\"1\"},"
				  "\"working-directory\":\"w\",\"line\":6,\"column\":7}");
	assert_string_equal(json_get_str(json_at(a->steps, 1), "id", ""), "__self");
	assert_string_equal(
		json_as_str(json_path(json_at(a->steps, 1), "with.k"), ""), "true");
	assert_string_equal(json_get_str(json_at(a->steps, 3), "id", ""), "__run_2");
}

static void reads_a_docker_action(void **state)
{
	_cleanup_(action_freep) struct action *a = parsed(
		"runs:\n  using: docker\n  image: Dockerfile\n  entrypoint: /e\n"
		"  pre-entrypoint: /p\n  args: ['${{ inputs.x }}', 2]\n  env: {A: 1}\n");
	_cleanup_(json_freep) struct json *args = action_args(a), *env = action_env(a);
	_cleanup_free_ char *args_text = json_text(args), *env_text = json_text(env);

	assert_int_equal(a->using, ACTION_DOCKER);
	assert_string_equal(a->image, "Dockerfile");
	assert_string_equal(a->main, "/e");
	assert_string_equal(a->pre, "/p");
	assert_string_equal(args_text, "[\"${{ inputs.x }}\",\"2\"]");
	assert_string_equal(env_text, "{\"A\":\"1\"}");
}

static void refuses_with_place_and_reason(void **state)
{
	static const char *const cases[][2] = {
		{ "name: x\n", "action.yml:1:1: the action has no 'runs'" },
		{ "runs: {using: node7, main: x}\n",
			"action.yml:1:15: 'node7' is no way to run an action" },
		{ "runs: {using: node20}\n",
			"action.yml:1:7: 'runs' with 'using: node20' has no 'main'" },
		{ "runs: {using: composite, main: x, steps: []}\n",
			"action.yml:1:26: 'main' does not go with 'using: composite'" },
		{ "runs: {using: composite, steps: [{run: x}]}\n",
			"action.yml:1:34: a step has no 'shell'" },
		{ "runs: {using: composite, steps: [{run: x, shell: sh, timeout-minutes: "
		  "1}]}\n",
			"action.yml:1:54: unknown key 'timeout-minutes' in a step" },
		{ "runs: {using: composite, steps: [{run: '${{ secrets.x }}', shell: "
		  "sh}]}\n",
			"action.yml:1:45: context 'secrets' is not available in a step's "
			"'run'" },
		{ "runs: {using: docker}\n",
			"action.yml:1:7: 'runs' with 'using: docker' has no 'image'" },
		{ "runs: [\n", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct diagnostics d = DIAGNOSTICS_INIT;
		struct action *a = NULL;
		struct err err = ERR_INIT;

		assert_int_equal(action_parse("action.yml", cases[i][0],
					 strlen(cases[i][0]), &a, &d, &err),
			-1);
		assert_err(&err, ERR_INPUT, cases[i][1]);
		diagnostics_done(&d);
	}
}

TEST_MAIN(TEST(reads_a_javascript_action), TEST(reads_a_composite_with_its_steps),
	TEST(reads_a_docker_action), TEST(refuses_with_place_and_reason))
