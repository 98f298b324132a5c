import { systemClock } from '../clock.ts';
import { isEnd } from '../protocol/entry.ts';
import { TroupeError, type ErrorCode } from '../protocol/errors.ts';
import { causeOf } from '../protocol/inbox.ts';
import type { RunHandle } from '../run.ts';
import { driving } from './driving.ts';

const PATIENCE_MS = 2_000;

/** The entry by which the owner of a run has taken message `seq` of its inbox; undefined: nobody has, for now. @throws what it was refused with */
export async function answered(run: RunHandle, seq: number): Promise<number | undefined> {
  const clock = systemClock();
  let timer: unknown;
  let over = false;
  const patience = new Promise<undefined>((resolve) => {
    timer = clock.setTimeout(() => resolve(undefined), PATIENCE_MS);
  });
  const look = async (): Promise<number | undefined> => {
    for await (const entry of run.entries()) {
      if (over) break;
      if (entry.cause === causeOf({ seq })) {
        if (entry.type !== 'message.refused') return entry.seq;
        const { code, message, data } = entry.event.error;
        throw new TroupeError((code ?? 'VALIDATION') as ErrorCode, message, { context: { data } });
      }
      if (isEnd(entry.type)) break;
    }
    return undefined;
  };
  try {
    return await Promise.race([look(), patience, driving.left().then(() => undefined)]);
  } finally {
    over = true;
    clock.clearTimeout(timer);
  }
}
