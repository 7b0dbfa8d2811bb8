-- Health of DiemJob and DiemApiKey (diem.io/v1) in Argo CD. It speaks of the deployment, not of the runs: a DiemJob whose
-- last run failed is deployed as well as before, so it is Healthy, and the message says how the run ended.
--
-- Argo CD gives health checks no string library, so texts are only joined.

local function find_condition(kind)
  for _, condition in ipairs(obj.status.conditions or {}) do
    if condition.type == kind then
      return condition
    end
  end
  return {}
end

local function explain(condition)
  local reason, message = condition.reason or "", condition.message or ""
  if reason == "" or message == "" then
    return reason .. message
  end
  return reason .. ": " .. message
end

local function describe_last_run()
  local run = obj.status.run
  if run == nil then
    return "has not run yet"
  end
  return "run " .. tostring(run.number) .. " is " .. tostring(run.phase)
end

local function check_diemjob()
  local reconciling = find_condition("Reconciling")
  if find_condition("Stalled").status == "True" then
    -- The same request would fail again: somebody has to change the DiemJob.
    return "Degraded", explain(find_condition("Stalled"))
  end
  if reconciling.status == "True" and reconciling.reason == "JobSuspended" then
    return "Suspended", "a queue has not admitted the Job yet"
  end
  if reconciling.status == "True" then
    return "Progressing", explain(reconciling)
  end
  if find_condition("Ready").status == "True" then
    return "Healthy", describe_last_run()
  end
  return "Progressing", "the operator has not said yet whether it is ready"
end

local function check_diemapikey()
  local ready = find_condition("Ready")
  if ready.status == "True" then
    return "Healthy", explain(ready)
  end
  if ready.status == "False" and ready.reason == "Revoked" then
    return "Suspended", explain(ready) -- on purpose, by what Git says
  end
  if ready.status == "False" then
    return "Degraded", explain(ready)
  end
  return "Progressing", "the operator has not said yet whether it is ready"
end

local function check()
  if obj.metadata.deletionTimestamp ~= nil then
    return "Progressing", "is being deleted"
  end
  if obj.status == nil or obj.status.observedGeneration == nil then
    return "Progressing", "no operator has looked at it yet"
  end
  if obj.status.observedGeneration ~= obj.metadata.generation then
    return "Progressing", "the operator has not looked at the latest change yet"
  end
  if obj.kind == "DiemApiKey" then
    return check_diemapikey()
  end
  return check_diemjob()
end

local status, message = check()
return { status = status, message = message }
