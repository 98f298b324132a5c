import type { BackendFactory } from '../backend.ts';
import { systemClock } from '../clock.ts';
import { ValidationError } from '../protocol/errors.ts';
import { createTroupe, type Troupe } from '../troupe.ts';
import { loadConfig, type Config } from './config.ts';
import { driving } from './driving.ts';
import type { ExitCode } from './exit.ts';
import { errorData } from './json.ts';
import { harmless, Terminal } from './terminal.ts';

/** What every command takes. */
export interface CommonOptions {
  config?: string;
  json?: boolean;
  color?: boolean;
  /** Of commands that change something: who asks. */
  by?: string;
}

export interface Session {
  troupe: Troupe;
  config: Config;
  terminal: Terminal;
}

/** Opens what the config names for as long as one command runs. Nothing is taken over unasked. */
export async function open(options: CommonOptions, work: (session: Session) => Promise<ExitCode>): Promise<ExitCode> {
  const terminal = new Terminal(options);
  const config = await loadConfig(options.config);
  const { definitions, tools } = config;
  const backend = checkedBackend(config.backend);
  const report = (error: unknown, where: string): void =>
    terminal.note(harmless(`troupe: ${where}: ${errorData(error).message}`));
  const { by } = options;
  const troupe = await createTroupe({
    backend,
    definitions,
    tools,
    recover: false,
    report,
    ...(by !== undefined && { principal: by }),
  });
  try {
    return await work({ troupe, config, terminal });
  } finally {
    const { killed } = driving;
    driving.end();
    if (killed) await letBeKilled(troupe);
    // What the command came to stands.
    await troupe.close().catch((error: unknown) => terminal.error(error));
  }
}

/** Longer than a kill waits for an answer, by its default. */
const PATIENCE_MS = 6_000;
const AGAIN_MS = 20;

/** What a run that was killed had begun lives here and is being killed, too: whoever does that waits for this process to say what has stopped. */
async function letBeKilled(troupe: Troupe): Promise<void> {
  const clock = systemClock();
  const gone = (): boolean => troupe.counts.live + troupe.counts.parked === 0;
  for (const until = clock.now() + PATIENCE_MS; !gone() && clock.now() < until;)
    await new Promise<void>((resolve) => void clock.setTimeout(resolve, AGAIN_MS));
}

const PARTS = {
  bus: ['publish', 'subscribe', 'request'],
  journal: ['append', 'read', 'tail', 'list', 'watch'],
  queue: ['enqueue', 'claim', 'watch'],
  registry: ['get', 'put', 'delete', 'list', 'watch'],
} as const;

/** A backend of the user's own is whole before anything is done with it. */
export const checkedBackend = (factory: BackendFactory): BackendFactory => ({
  ...factory,
  open: async (ports) => {
    const backend = await factory.open(ports);
    const has = (part: unknown, name: string): boolean =>
      typeof (part as Record<string, unknown> | null | undefined)?.[name] === 'function';
    const missing = [
      ...['alive', 'close'].filter((name) => !has(backend, name)),
      ...Object.entries(PARTS).flatMap(([part, names]) =>
        names
          .filter((name) => !has((backend as unknown as Record<string, unknown> | undefined)?.[part], name))
          .map((name) => `${part}.${name}`),
      ),
    ];
    if (missing.length === 0) return backend;
    throw new ValidationError(
      `The backend of the config is none: its open() gives nothing with ${missing.join(', ')}.`,
      {
        missing,
      },
    );
  },
});
