// SPDX-License-Identifier: Apache-2.0
// Runs the named browser tests (all of them without a name) and prints TAP.
import { done, ok } from './lib.mjs';

const names = process.argv.slice(2);
for (const name of names.length ? names : ['pages', 'live', 'log', 'gate']) {
  console.log('# ---- ' + name);
  try {
    await (await import('./' + name + '.mjs')).default();
  } catch (e) {
    ok(false, name + ' runs to its end', e.stack);
  }
}
process.exit(done());
