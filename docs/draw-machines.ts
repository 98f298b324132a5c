import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { plan, tool, toolActor } from 'troupe';
import * as machines from 'troupe/machines';
import type { AnyStateMachine } from 'xstate';
import { z } from 'zod';
import { everyNode } from '../src/cli/draw/edges.ts';
import { stateDiagram } from '../src/cli/draw/mermaid.ts';

/** Draws docs/machines.md from the charts themselves. With `--check` it writes nothing and fails when the page is stale. */

const example = (name: string, phrase: string, inputSchema: z.ZodType, outputSchema: z.ZodType) =>
  tool({ name, description: phrase, phrases: [phrase], inputSchema, outputSchema, execute: () => undefined });

const mail = plan.parse(
  `a. Get all contacts
   b. Compose Email message: "Hello World!"
   c. Send emails (requires steps a and b)`,
  {
    name: 'mail',
    tools: [
      example('list_contacts', 'get all contacts', z.object({}), z.array(z.object({ email: z.string() }))),
      example('compose', 'compose email message', z.object({ text: z.string() }), z.object({ body: z.string() })),
      example('send_email', 'send emails', z.object({ email: z.string(), body: z.string() }), z.object({})),
    ],
  },
);

/** One for each export of troupe/machines. */
const PAGES: Record<keyof typeof machines, { title: string; says: string; machine: AnyStateMachine }> = {
  runMachine: {
    title: 'run',
    says: 'The lifecycle of every run; `body` is the machine that the run is of.',
    machine: machines.runMachine,
  },
  toolMachine: {
    title: 'tool',
    says: 'One call of one tool: the gate, its attempts, and what is done when nobody knows whether it happened.',
    machine: toolActor(example('tool', 'call', z.object({}), z.object({}))),
  },
  planMachine: {
    title: 'plan',
    says: 'It schedules: each step is an actor of its own, named for the step and spawned when what it needs is there. What it keeps of a step is whether it is waiting, ready, running, in doubt, done, failed or skipped.',
    machine: machines.planMachine(mail.spec),
  },
  eachMachine: {
    title: 'each',
    says: 'A step that makes one call for each item of a list, here at most 4 at once.',
    machine: machines.eachMachine({ id: 'each', call: 'send_email', concurrency: 4, onFailure: 'fail' }),
  },
  moduleMachine: {
    title: 'module',
    says: 'The connection of a module, shared by the runs of a process; the gate asks it for room before each call.',
    machine: machines.moduleMachine,
  },
};

function page({ title, says, machine }: (typeof PAGES)[keyof typeof machines]): string {
  const waiting = everyNode(machine.root)
    .filter(({ meta }) => meta?.waitsFor !== undefined)
    .map(({ path, meta }) => `- \`${path.join('.')}\` waits for ${String(meta.waitsFor)}`);
  return [`## ${title}`, '', says, '', '```mermaid', ...stateDiagram(machine), '```', '', ...waiting, ''].join('\n');
}

const HEAD = `# The statecharts

Drawn from the code by \`npm run docs:machines\`; do not edit. All of them are exported by \`troupe/machines\` as plain XState v5 machines.

An arrow says what leads on: an event, \`done(source)\` or \`error(source)\` for how a call ended, \`after delay\`, \`always\`; its guard stands in brackets,
\`[else]\` where the guards before it said no. An arrow to its own state changes only what the machine remembers. A note says what can happen
anywhere in the state beside it, or in any state at all.
`;

const file = fileURLToPath(new URL('machines.md', import.meta.url));
const drawn = [HEAD, ...Object.values(PAGES).map(page)].join('\n');
if (!process.argv.includes('--check')) writeFileSync(file, drawn);
else if (readOrNothing() !== drawn) {
  console.error('docs/machines.md is not what the code draws; run: npm run docs:machines');
  process.exitCode = 1;
}

function readOrNothing(): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
