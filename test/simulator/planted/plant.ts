import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { planted, root, sourcesWith } from './planted.ts';

/** Loaded before all else (`node --import`): one planted bug, named by PLANTED, is put into the sources as they are loaded. Nothing is written. */

const name = process.env['PLANTED'];
const bug = planted.find((one) => one.name === name);
if (bug === undefined) throw new Error(`There is no planted bug '${name}'.`);
// Now rather than when they are loaded: a bug that cannot be planted is an error, whatever the process does.
const sources = new Map<string, string>();
for (const [file, source] of sourcesWith(bug, (one) => readFileSync(new URL(one, root), 'utf8')))
  sources.set(new URL(file, root).href, source);

registerHooks({
  load: (url, context, next) => {
    const source = sources.get(url);
    return source === undefined ? next(url, context) : { ...next(url, context), source };
  },
});
