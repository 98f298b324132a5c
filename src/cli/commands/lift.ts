import { ValidationError } from '../../protocol/errors.ts';
import { EXIT, type ExitCode } from '../exit.ts';
import { open, type CommonOptions } from '../open.ts';
import { widthOf, widthText, type WidthFlags } from '../width.ts';

export interface LiftOptions extends CommonOptions, WidthFlags {}

export function lift(options: LiftOptions): Promise<ExitCode> {
  return open(options, async ({ troupe, terminal }) => {
    const width = widthOf(options);
    if (width === undefined) throw new ValidationError('Say what is to begin again: --tenant, --definition or --all.');
    const lifted = await troupe.lift(width);
    const what = widthText(width);
    terminal.say(lifted ? `lifted: ${what} may begin again` : `${what} was not switched off`);
    terminal.result({ ...width, lifted });
    return EXIT.completed;
  });
}
