/** Default deny, by exact registered id: no prefixes, no wildcards, no case folding. */
export const allowed = (grants: readonly string[], tool: string): boolean => grants.includes(tool);
