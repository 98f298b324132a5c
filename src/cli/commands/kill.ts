import type { Receipt } from '../../run.ts';
import { exitOfError, gravest, type ExitCode } from '../exit.ts';
import { errorData, shortened } from '../json.ts';
import { open, type CommonOptions } from '../open.ts';

export interface KillOptions extends CommonOptions {
  reason?: string;
}

export function kill(ids: readonly string[], options: KillOptions): Promise<ExitCode> {
  return open(options, async ({ troupe, terminal }) => {
    const receipts: Receipt[] = [];
    const failures: { run: string; error: unknown }[] = [];
    for (const run of ids)
      try {
        const receipt = await troupe.kill(run, options.reason);
        receipts.push(receipt);
        terminal.say(
          receipt.status === 'killed'
            ? `killed ${run}: ${receipt.reason} (entry ${receipt.seq}, ${receipt.ms}ms)`
            : `${run} had ended before: ${receipt.status}`,
        );
        if (receipt.inDoubt.length > 0)
          terminal.say(`  begun, and nobody knows whether they happened: ${receipt.inDoubt.join(', ')}`);
      } catch (error) {
        failures.push({ run, error });
        terminal.error(error);
      }
    terminal.result({
      receipts,
      errors: failures.map(({ run, error }) => ({ run: shortened(run), error: errorData(error) })),
    });
    return gravest(failures.map(({ error }) => exitOfError(error)));
  });
}
