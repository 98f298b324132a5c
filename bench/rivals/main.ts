import { Annotation, END, MemorySaver, START, StateGraph } from '@langchain/langgraph';
import { createStep, createWorkflow } from '@mastra/core/workflows';
import { z } from 'zod';
import { answer, measure, must, type Figures } from '../measure.ts';
import { step, STEPS } from '../workload.ts';

/** The same ten steps by others, in memory. They are slow to warm up. */

const WARM_UP_MS = 2 * Number(process.env['BENCH_MS'] ?? 1_500);

async function mastra(): Promise<Figures> {
  const schema = z.object({ count: z.number(), last: z.any().optional() });
  let workflow = createWorkflow({ id: 'ten', inputSchema: schema, outputSchema: schema });
  for (let i = 0; i < STEPS; i += 1)
    workflow = workflow.then(
      createStep({
        id: `s${i}`,
        inputSchema: schema,
        outputSchema: schema,
        execute: async ({ inputData }) => ({ last: await step(i), count: inputData.count + 1 }),
      }),
    );
  workflow.commit();
  return measure(
    async () => {
      const result = await (await workflow.createRun()).start({ inputData: { count: 0 } });
      must(result.status === 'success' && result.result.count === STEPS, 'a run did not take its ten steps');
    },
    { warmUpMs: WARM_UP_MS },
  );
}

async function langgraph(checkpointer?: MemorySaver): Promise<Figures> {
  const State = Annotation.Root({ last: Annotation<unknown>(), count: Annotation<number>() });
  const graph = new StateGraph(State) as StateGraph<typeof State, unknown, unknown, string>;
  for (let i = 0; i < STEPS; i += 1)
    graph.addNode(`n${i}`, async ({ count }) => ({ last: await step(i), count: count + 1 }));
  graph.addEdge(START, 'n0');
  for (let i = 1; i < STEPS; i += 1) graph.addEdge(`n${i - 1}`, `n${i}`);
  graph.addEdge(`n${STEPS - 1}`, END);
  const app = graph.compile(checkpointer === undefined ? {} : { checkpointer });
  let last = '';
  const figures = await measure(
    async (index) => {
      last = `t${index}`;
      const { count } = await app.invoke({ count: 0 }, { configurable: { thread_id: last } });
      must(count === STEPS, 'a run did not take its ten steps');
    },
    { warmUpMs: WARM_UP_MS },
  );
  if (checkpointer !== undefined) {
    const { values } = await app.getState({ configurable: { thread_id: last } });
    must(values.count === STEPS, 'the checkpointer does not have it');
  }
  return figures;
}

await answer({ mastra, langgraph: () => langgraph(), 'langgraph-memory': () => langgraph(new MemorySaver()) });
// What they keep open is nothing of ours to wait for.
process.exit();
