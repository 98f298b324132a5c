import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, sep } from 'node:path';
import { fail, ok, warn, type Check } from './check.ts';

const numbers = (version: string): number[] => (version.split('-')[0] ?? '').split('.').map(Number);

/** `range` as package.json has them here: `>=22.13`, `~5.33.3`, `^4`. */
export function satisfies(version: string, range: string): boolean {
  const [, operator = '', floor = ''] = /^(>=|~|\^)?(.+)$/.exec(range) ?? [];
  const [has, least] = [numbers(version), numbers(floor)];
  const first = has.findIndex((part, index) => part !== (least[index] ?? 0));
  if (first === -1) return true;
  if ((has[first] ?? 0) < (least[first] ?? 0)) return false;
  // Above the floor: how far, the operator says.
  if (operator === '>=') return true;
  return operator === '' ? false : first >= (operator === '~' ? 2 : 1);
}

interface Manifest {
  version: string;
  engines: { node: string };
  peerDependencies: Record<string, string>;
}
const here = createRequire(import.meta.url);
const troupe = here('troupe/package.json') as Manifest;

export function nodeCheck(version = process.versions.node, range = troupe.engines.node): Check {
  return satisfies(version, range)
    ? ok('node', `${version}; troupe needs ${range}`)
    : fail('node', `${version} is too old: troupe needs ${range}`, 'install a newer Node, then look again');
}

/** What troupe shares with its users, as seen from troupe and from `folder`. */
export function* packageChecks(folder: string): Generator<Check> {
  const there = createRequire(join(folder, 'troupe.config.js'));
  for (const [name, range] of Object.entries(troupe.peerDependencies)) yield packageCheck(name, range, there);
}

function packageCheck(name: string, range: string, there: NodeJS.Require): Check {
  const install = `npm install '${name}@${range}'`;
  const own = manifestOf(name, here);
  if (own === undefined) return fail(name, 'troupe does not find it', install);
  const yours = manifestOf(name, there) ?? own;
  for (const { version, file } of [own, yours])
    if (!satisfies(version, range))
      return fail(name, `${version} in ${dirname(file)}; troupe works with ${range}`, install);
  const others = new Set([...(yours.file === own.file ? [] : [yours.file]), ...copies(name, own.file)]);
  if (others.size === 0) return ok(name, `${own.version}; troupe works with ${range}`);
  return warn(
    name,
    `${own.version}, and ${others.size === 1 ? 'another copy' : 'other copies'} in ${[...others].map(dirname).join(', ')}: what is made with one is strange to the other`,
    `have one: npm ls ${name}, then npm dedupe`,
  );
}

function manifestOf(name: string, from: NodeJS.Require): { version: string; file: string } | undefined {
  try {
    const file = from.resolve(`${name}/package.json`);
    return { version: (JSON.parse(readFileSync(file, 'utf8')) as Manifest).version, file };
  } catch {
    return undefined;
  }
}

/** Nested below the packages that stand beside it, as npm does, and beside it in the store of pnpm. */
function copies(name: string, file: string): string[] {
  const modules = dirname(dirname(file));
  const [store, rest] = modules.split(`${sep}.pnpm${sep}`);
  const candidates =
    store !== undefined && rest !== undefined
      ? list(join(store, '.pnpm'))
          .filter((entry) => entry.startsWith(`${name}@`))
          .map((entry) => join(store, '.pnpm', entry, 'node_modules'))
      : list(modules)
          .flatMap((entry) =>
            entry.startsWith('@') ? list(join(modules, entry)).map((scoped) => join(entry, scoped)) : [entry],
          )
          .map((entry) => join(modules, entry, 'node_modules'));
  return candidates
    .map((folder) => join(folder, name, 'package.json'))
    .filter((other) => other !== file && existsSync(other));
}

const list = (folder: string): string[] => (existsSync(folder) ? readdirSync(folder) : []);
