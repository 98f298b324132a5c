import { ValidationError } from '../../protocol/errors.ts';
import { sendable } from '../../sending.ts';
import { askOne } from '../ask.ts';
import type { ExitCode } from '../exit.ts';
import { readInput } from '../json.ts';
import { open, type CommonOptions } from '../open.ts';

export interface SendOptions extends CommonOptions {
  data?: string;
}

export function send(id: string, type: string, options: SendOptions): Promise<ExitCode> {
  return open(options, async (session) => {
    const data = options.data === undefined ? {} : await fields(options.data);
    // Before the run is taken over for it.
    const event = sendable({ ...data, type });
    return askOne(session, id, {
      command: 'send',
      says: `sent ${type} to`,
      ask: (run) => run.send(event),
    });
  });
}

/** @throws ValidationError */
async function fields(given: string): Promise<object> {
  const data = await readInput(given, '--data');
  if (typeof data === 'object' && data !== null && !Array.isArray(data)) return data;
  throw new ValidationError(`--data must be a JSON object: the fields of the event besides its type.`, {
    option: '--data',
  });
}
