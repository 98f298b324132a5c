import { Register } from '../../../actors/runs/register.ts';
import type { Backend } from '../../backend.ts';
import { ownerId } from '../../protocol/ids.ts';
import { systemClock } from '../../clock.ts';
import { loadConfig } from '../config.ts';
import { EXIT, type ExitCode } from '../exit.ts';
import { checkedBackend, type CommonOptions } from '../open.ts';
import { line, reserve } from '../stdout.ts';

const MOST = 1_000;

/** Ids for a shell that completes one, a line each. Only their list is read: somebody has pressed a key and waits. */
export async function complete(what: string, { config: file }: CommonOptions): Promise<ExitCode> {
  if (what !== 'runs' && what !== 'open') return EXIT.usage;
  reserve();
  const config = await loadConfig(file);
  const backend = await checkedBackend(config.backend).open({ owner: ownerId('completion'), clock: systemClock() });
  try {
    let listed = 0;
    for await (const run of what === 'runs' ? backend.journal.list() : openIn(backend)) {
      await line(run);
      if ((listed += 1) >= MOST) break;
    }
    return EXIT.completed;
  } finally {
    await backend.close();
  }
}

async function* openIn(backend: Backend): AsyncGenerator<string> {
  for (const { run } of await new Register(backend).open()) yield run;
}
