import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { answer, median, must, scratch, type Figures } from './measure.ts';

/** How long until the package is there? As installed: built, without type stripping. Medians of whole processes, in turn. */

const RUNS = 15;
const ROOT = fileURLToPath(new URL('..', import.meta.url));

interface Manifest {
  version: string;
  dependencies: Record<string, string>;
  peerDependencies: Record<string, string>;
}

/** Built into a folder where `import 'troupe'` finds it, beside what it depends on. */
function install(dir: string): Manifest {
  const modules = join(dir, 'node_modules');
  const own = join(modules, 'troupe');
  mkdirSync(own, { recursive: true });
  cpSync(join(ROOT, 'package.json'), join(own, 'package.json'));
  const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
  const build = [tsc, '-p', join(ROOT, 'tsconfig.build.json'), '--outDir', join(own, 'dist')];
  execFileSync(process.execPath, build, { stdio: ['ignore', 2, 2] });
  const manifest = JSON.parse(readFileSync(join(own, 'package.json'), 'utf8')) as Manifest;
  for (const name of Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies })) {
    mkdirSync(dirname(join(modules, name)), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules', name), join(modules, name), 'dir');
  }
  return manifest;
}

async function startup(): Promise<Figures> {
  const dir = scratch();
  const { version } = install(dir);
  const file = (name: string, text: string): string => {
    writeFileSync(join(dir, name), text);
    return join(dir, name);
  };
  const main = join(dir, 'node_modules', 'troupe', 'dist', 'src', 'cli', 'main.js');
  const kinds = {
    bare: { args: [file('bare.mjs', 'console.log("there")')], says: 'there' },
    xstate: {
      args: [file('xstate.mjs', 'import { createActor } from "xstate"; console.log(typeof createActor)')],
      says: 'function',
    },
    import: {
      args: [
        file(
          'import.mjs',
          'import { createTroupe } from "troupe"; console.log(typeof createTroupe, import.meta.resolve("troupe").endsWith(".js"))',
        ),
      ],
      says: 'function true',
    },
    version: { args: [main, '--version'], says: version },
  };
  const took = Object.fromEntries(Object.keys(kinds).map((kind) => [kind, [] as number[]]));
  for (let run = 0; run <= RUNS; run += 1)
    for (const [kind, { args, says }] of Object.entries(kinds)) {
      const since = performance.now();
      const said = execFileSync(process.execPath, args, { cwd: dir, encoding: 'utf8' }).trim();
      const ms = performance.now() - since;
      must(said === says, `${kind} says '${said}', not '${says}'`);
      // The first brings the files into memory.
      if (run > 0) took[kind]?.push(ms);
    }
  return Object.fromEntries(Object.entries(took).map(([kind, times]) => [kind, median(times)]));
}

await answer({ built: startup });
