import { askOne } from '../ask.ts';
import type { ExitCode } from '../exit.ts';
import { open, type CommonOptions } from '../open.ts';

export function checkpoint(id: string, label: string, options: CommonOptions): Promise<ExitCode> {
  return open(options, (session) =>
    askOne(session, id, { command: 'checkpoint', says: `checkpoint ${label} of`, ask: (run) => run.checkpoint(label) }),
  );
}
