import type { AnyDefinition } from '../../../actors/body.ts';
import type { RunHandle } from '../../run.ts';
import { readDefinition } from '../definition.ts';
import { drive } from '../drive.ts';
import { EXIT, exitOfSummary, type ExitCode } from '../exit.ts';
import { readInput } from '../json.ts';
import { open, type CommonOptions, type Session } from '../open.ts';
import { outcomeData, outcomeLines } from '../outcome.ts';
import { Progress } from '../progress.ts';

export interface RunOptions extends CommonOptions {
  input?: string;
  id?: string;
  steps?: number;
}

export function run(source: string, options: RunOptions): Promise<ExitCode> {
  return open(options, async (session) => {
    const { troupe, config, terminal } = session;
    const input = options.input === undefined ? undefined : await readInput(options.input, '--input');
    const definition = await readDefinition(source, config);
    const { id, steps } = options;
    const handle: RunHandle = await troupe.start(definition, input as never, {
      ...(id !== undefined && { id }),
      ...(steps !== undefined && { budget: { steps } }),
    });
    terminal.say(`run ${handle.id}`);
    if (!isKept(definition, session))
      terminal.note(
        `${definition.name} is not among the definitions of the config: no other command can go on with this run.`,
      );
    const interrupted = killOnInterrupt(handle, session);
    try {
      // An id that exists may be nobody's.
      await troupe.recover(handle.id);
      const spec = definition.kind === 'plan' ? definition.spec.steps.map(({ name }) => name) : [];
      const outcome = await drive(handle, new Progress(handle, terminal, { steps: spec }));
      for (const line of outcomeLines(outcome, terminal)) terminal.say(line);
      terminal.result(outcomeData(outcome));
      return exitOfSummary(outcome.summary);
    } finally {
      interrupted.stop();
    }
  });
}

const isKept = (definition: AnyDefinition, { config }: Session): boolean =>
  config.definitions.includes(definition) || (definition.kind === 'plan' && definition.parsed);

/** The first Ctrl-C kills the run, the second leaves. */
function killOnInterrupt(handle: RunHandle, { terminal }: Session): { stop: () => void } {
  let asked = false;
  const interrupt = (): void => {
    if (asked) process.exit(EXIT.left);
    asked = true;
    terminal.note(`killing run ${handle.id}; again to leave it`);
    handle.kill('interrupted').catch((error: unknown) => terminal.error(error));
  };
  process.on('SIGINT', interrupt);
  return { stop: () => void process.off('SIGINT', interrupt) };
}
