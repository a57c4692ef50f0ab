# 1. export ARM_SUBSCRIPTION_ID=$(az account show --query id -o tsv); terraform init; terraform apply
# 2. The lines grant-access, azcopy and revoke-access of the Azure CLI, for each of these disks:
#    web of "web.vhd"
#    d0 of "d0.vhd"
# 3. terraform apply -var uploaded=true

terraform {
  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = "~> 4.0"
    }
  }
}

provider "azurerm" {
  features {}
}

variable "uploaded" {
  description = "The files have been uploaded"
  type        = bool
  default     = false
}

locals {
  group    = "GROUP"
  location = "LOCATION"
}

resource "azurerm_managed_disk" "os" {
  name                 = "web"
  resource_group_name  = local.group
  location             = local.location
  storage_account_type = "Standard_LRS"
  create_option        = "Upload"
  upload_size_bytes    = 32212255232
  os_type              = "Windows"
  hyper_v_generation   = "V1"
}

resource "azurerm_managed_disk" "data0" {
  name                 = "d0"
  resource_group_name  = local.group
  location             = local.location
  storage_account_type = "Standard_LRS"
  create_option        = "Upload"
  upload_size_bytes    = 1073742336
}

resource "azurerm_image" "image" {
  count               = var.uploaded ? 1 : 0
  name                = "web"
  resource_group_name = local.group
  location            = local.location
  hyper_v_generation  = "V1"
  os_disk {
    os_type         = "Windows"
    os_state        = "Generalized"
    storage_type    = "Standard_LRS"
    managed_disk_id = azurerm_managed_disk.os.id
  }
  data_disk {
    lun             = 0
    storage_type    = "Standard_LRS"
    managed_disk_id = azurerm_managed_disk.data0.id
  }
}
