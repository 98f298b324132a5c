import { askAll } from '../askAll.ts';
import { EXIT, type ExitCode } from '../exit.ts';
import { open, type CommonOptions } from '../open.ts';

export interface PauseOptions extends CommonOptions {
  reason?: string;
}

export function pause(ids: readonly string[], { reason, ...options }: PauseOptions): Promise<ExitCode> {
  return open(options, (session) =>
    // That a run waits is what was asked for.
    askAll(session, ids, { command: 'pause', says: 'paused', ask: (run) => run.pause(reason) }, [EXIT.waiting]),
  );
}
