import { Socket } from 'node:net';
import { asFailure, toData } from '../../src/codec.ts';
import { costOf } from '../../src/protocol/amount.ts';
import { ValidationError } from '../../src/protocol/errors.ts';
import type { Cost } from '../../src/protocol/entry.ts';
import type { Failure } from '../../src/protocol/exit.ts';
import type { Answer, FromProcess, IsolatedCall, ToProcess } from '../../src/protocol/isolated.ts';
import type { ToolContext } from '../../src/protocol/spec.ts';
import { told } from '../told.ts';
import { Channel, CHANNEL, HEARD_BY_HOST, HEARD_BY_TOOL } from './channel.ts';
import { MARK } from './family.ts';

/**
 * The main module of an isolated call's process.
 *
 * N1. Before the tool is called, `begins` has left this process.
 * N2. It says one answer and exits.
 * N3. What is charged is said, whatever was charged before.
 * N4. An answer that the host would not hear is not said: an error is, in its place.
 */

const aborted = new AbortController();
let overspent: Failure | undefined;

const abort = (): void => aborted.abort();
// Without a handler it would end at once, and the tool could not put anything in order.
process.on('SIGTERM', abort);
// Whoever asked is gone, or cannot be understood; once the tool is called, it is the warden who sees to that.
const channel = new Channel(
  new Socket({ fd: CHANNEL }),
  { token: process.env[MARK] ?? '', hears: HEARD_BY_TOOL, says: HEARD_BY_HOST },
  { hear, end: () => process.exit() },
);

function hear(said: unknown): void {
  // A border: what the host says is of the same release.
  const message = said as ToProcess;
  switch (message.type) {
    case 'call':
      void answer(message.call);
      break;
    case 'abort':
      abort();
      break;
    case 'overspent':
      overspent = message.error;
      break;
  }
}

const say = (reported: FromProcess): Promise<void> => new Promise((resolve) => channel.say(reported, resolve));

async function answer(call: IsolatedCall): Promise<void> {
  const given = await performed(call);
  await say(given).catch((error: unknown) => say({ type: 'failed', error: tooMuch(call, given, asFailure(error)) }));
  process.exit();
}

/** Of an error its words are left. */
function tooMuch({ tool }: IsolatedCall, given: Answer, { message }: Failure): Failure {
  if (given.type === 'failed') return { name: given.error.name, message: given.error.message };
  return asFailure(
    new ValidationError(
      `Tool ${tool}: its output is too large to be handed over. ${message} Put it into a file or an object store, and give its name.`,
      { tool, path: 'output' },
    ),
  );
}

async function performed(call: IsolatedCall): Promise<Answer> {
  try {
    const execute = await loaded(call);
    // Told to end before the tool was called, it calls nothing.
    aborted.signal.throwIfAborted();
    await say({ type: 'begins' });
    const context: ToolContext = { ...call.context, signal: aborted.signal, charge: charging(call) };
    return { type: 'succeeded', output: toData(await execute(call.input, context), 'output') };
  } catch (error) {
    return { type: 'failed', error: asFailure(told(error)) };
  }
}

const charging =
  ({ context: { call } }: IsolatedCall): ToolContext['charge'] =>
  (given) => {
    const cost = toData(given, 'cost') as Cost;
    // Refused here, as it would be where the tool runs in the host.
    costOf(cost, `charge of ${call}`);
    void say({ type: 'charge', cost });
    // A border: it is thrown as data, as everything that comes out of here is.
    if (overspent !== undefined) throw Object.assign(new Error(overspent.message), overspent);
  };

/** @throws ValidationError */
async function loaded({ module, tool }: IsolatedCall): Promise<(input: unknown, context: ToolContext) => unknown> {
  const context = { tool, module };
  const exported = await import(module).catch((error: unknown) => {
    throw new ValidationError(
      `Tool ${tool}: its module ${module} cannot be loaded: ${asFailure(error).message}`,
      context,
    );
  });
  const execute = (exported as { default?: unknown }).default;
  if (typeof execute === 'function') return execute as (input: unknown, context: ToolContext) => unknown;
  throw new ValidationError(
    `Tool ${tool}: the default export of its module ${module} is not a function; export what 'execute' would be.`,
    context,
  );
}
