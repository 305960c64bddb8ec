// The conformance suite imports `globSync`, which Node has from version 22 on and which it needs for other commands. Older
// versions get one that finds nothing.
import { register } from 'node:module';

const hook = `export async function resolve(specifier, context, next) {
  if (specifier !== "fs" || !context.parentURL?.includes("/conformance/dist/")) return next(specifier, context);
  const source = 'export * from "node:fs"; export { default } from "node:fs"; export const globSync = () => [];';
  return { url: "data:text/javascript," + encodeURIComponent(source), shortCircuit: true };
}`;
register(`data:text/javascript,${encodeURIComponent(hook)}`);
