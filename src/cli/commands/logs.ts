import { closest } from '../../define/closest.ts';
import { isEntryType, type EntryType } from '../../protocol/entry.ts';
import { ValidationError } from '../../protocol/errors.ts';
import { NO_SUMMARY } from '../../summary.ts';
import { Tracer, type TraceEvent } from '../../trace.ts';
import { driving } from '../driving.ts';
import { EXIT, type ExitCode } from '../exit.ts';
import { shortened, toJson } from '../json.ts';
import { open, type CommonOptions } from '../open.ts';
import { eventLine } from '../render.ts';
import { line, nobodyReads } from '../stdout.ts';

export interface LogsOptions extends CommonOptions {
  follow?: boolean;
  type?: readonly string[];
  since?: number;
}

export function logs(id: string, options: LogsOptions): Promise<ExitCode> {
  const { follow = false, since = 1 } = options;
  return open(options, async ({ troupe, terminal }) => {
    const types = options.type?.map(entryType);
    const run = await troupe.attach(id);
    const last = follow ? Infinity : (await run.summary()).entries;
    const wanted = ({ seq, type }: TraceEvent): boolean => seq >= since && types?.includes(type) !== false;
    let over = false;
    const print = async (): Promise<ExitCode> => {
      const tracer = new Tracer();
      for await (const entry of run.entries()) {
        if (over) break;
        const event = tracer.event(entry);
        if (wanted(event)) await line(terminal.json ? toJson(event) : eventLine(event));
        if (entry.seq >= last) break;
      }
      return EXIT.completed;
    };
    try {
      return await Promise.race([print(), driving.left().then(() => EXIT.left), nobodyReads()]);
    } finally {
      over = true;
    }
  });
}

/** @throws ValidationError */
function entryType(name: string): EntryType {
  if (isEntryType(name)) return name;
  const types = Object.keys(NO_SUMMARY.byType);
  const near = closest(name, types);
  throw new ValidationError(
    `No entry is of type '${shortened(name)}'; ${near.length > 0 ? `did you mean ${near.join(' or ')}?` : `use one of ${types.join(', ')}.`}`,
    { type: shortened(name), closest: near },
  );
}
