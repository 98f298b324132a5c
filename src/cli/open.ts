import { createTroupe, type Troupe } from '../troupe.ts';
import { loadConfig, type Config } from './config.ts';
import type { ExitCode } from './exit.ts';
import { errorData } from './json.ts';
import { harmless, Terminal } from './terminal.ts';

/** What every command takes. */
export interface CommonOptions {
  config?: string;
  json?: boolean;
  color?: boolean;
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
  const { backend, definitions, tools } = config;
  const report = (error: unknown, where: string): void =>
    terminal.note(harmless(`troupe: ${where}: ${errorData(error).message}`));
  const troupe = await createTroupe({ backend, definitions, tools, recover: false, report });
  try {
    return await work({ troupe, config, terminal });
  } finally {
    await troupe.close();
  }
}
