import { dirname, resolve } from 'node:path';
import { failed, ok, type Check } from '../checks/check.ts';
import { nodeCheck, packageChecks } from '../checks/packages.ts';
import type { Config } from '../config.ts';
import { EXIT, type ExitCode } from '../exit.ts';
import { count } from '../render.ts';
import type { CommonOptions } from '../open.ts';
import { harmless, Terminal, type Style } from '../terminal.ts';

const STYLES: Record<Check['status'], Style> = { ok: 'green', warn: 'yellow', fail: 'red' };

/** Looks at what people stumble over; changes nothing. */
export async function doctor(options: CommonOptions): Promise<ExitCode> {
  const terminal = new Terminal(options);
  const checks: Check[] = [];
  for await (const check of examine(options.config)) {
    checks.push(check);
    for (const line of linesOf(check, terminal)) terminal.say(line);
  }
  const of = (status: Check['status']): number => checks.filter((check) => check.status === status).length;
  terminal.say(`${count(of('fail'), 'failure')}, ${count(of('warn'), 'warning')}`);
  terminal.result({ ok: of('fail') === 0, checks });
  return of('fail') === 0 ? EXIT.completed : EXIT.failed;
}

/** Each needs what was looked at before it. */
async function* examine(named: string | undefined): AsyncGenerator<Check> {
  const node = nodeCheck();
  yield node;
  if (node.status === 'fail') return;
  const { findConfig, loadConfig } = await import('../config.ts');
  const file = findConfig(named);
  yield* packageChecks(file === undefined ? process.cwd() : dirname(resolve(file)));
  let config: Config;
  try {
    config = await loadConfig(named);
  } catch (error) {
    yield failed('config', error, 'see the file');
    return;
  }
  const { definitions, tools } = config;
  yield ok('config', `${file}, with ${count(definitions.length, 'definition')}, ${tools.length} tools and modules`);
  const { storeChecks } = await import('../checks/store.ts');
  yield* storeChecks(config);
}

const NAME_WIDTH = 'definitions'.length;

function linesOf({ check, status, says, todo }: Check, terminal: Terminal): string[] {
  const lines = [`${terminal.paint(STYLES[status], status.padEnd(4))}  ${check.padEnd(NAME_WIDTH)}  ${harmless(says)}`];
  if (todo !== undefined) lines.push(`${' '.repeat(6 + NAME_WIDTH)}  → ${harmless(todo)}`);
  return lines;
}
