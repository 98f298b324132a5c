import { toEvent } from './codec.ts';
import { ValidationError } from './protocol/errors.ts';

/** An event as somebody may send it. @throws ValidationError */
export function sendable(event: unknown): { type: string } {
  const data = toEvent(event);
  if (/^(troupe|xstate)\./.test(data.type))
    throw new ValidationError(
      `The event '${data.type}' is not yours to send: names that begin with troupe. or xstate. are the runtime's.`,
      { type: data.type },
    );
  return data;
}
