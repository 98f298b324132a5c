import type { RunHandle } from '../run.ts';
import { driving, type Signal } from './driving.ts';
import type { Session } from './open.ts';

/** The first Ctrl-C kills the run; resolves when it is to be let go of instead. */
export const killAtInterrupt = (run: RunHandle, { terminal }: Session): Promise<Signal> =>
  driving.begin(() => {
    terminal.note(`killing run ${run.id}; again to leave it`);
    run.kill('interrupted').catch((error: unknown) => terminal.error(error));
  });
