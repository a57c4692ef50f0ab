# 1. export ARM_SUBSCRIPTION_ID=$(az account show --query id -o tsv); terraform init; terraform apply
# 2. The lines grant-access, azcopy and revoke-access of the Azure CLI, for each of these disks:
#    web of "web.vhd"
#    d0 of "d0.vhd"
#    d1 of "d1.vhd"
# 3. terraform apply -var uploaded=true

terraform {
  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = "~> 4.0"
    }
    azapi = {
      source  = "Azure/azapi"
      version = "~> 2.0"
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
  os_type              = "Linux"
  hyper_v_generation   = "V2"
}

resource "azurerm_managed_disk" "data1" {
  name                 = "d0"
  resource_group_name  = local.group
  location             = local.location
  storage_account_type = "Standard_LRS"
  create_option        = "Upload"
  upload_size_bytes    = 1073742336
}

resource "azurerm_managed_disk" "data0" {
  name                 = "d1"
  resource_group_name  = local.group
  location             = local.location
  storage_account_type = "Standard_LRS"
  create_option        = "Upload"
  upload_size_bytes    = 2147484160
}

data "azurerm_shared_image_gallery" "gallery" {
  name                = "GALLERY"
  resource_group_name = local.group
}

resource "azurerm_shared_image" "definition" {
  name                                = "web"
  gallery_name                        = data.azurerm_shared_image_gallery.gallery.name
  resource_group_name                 = local.group
  location                            = local.location
  os_type                             = "Linux"
  specialized                         = false
  hyper_v_generation                  = "V2"
  architecture                        = "x64"
  disk_controller_type_nvme_enabled   = true
  accelerated_network_support_enabled = true
  identifier {
    publisher = "PUBLISHER"
    offer     = "OFFER"
    sku       = "SKU"
  }
}

resource "azapi_resource" "version" {
  count     = var.uploaded ? 1 : 0
  type      = "Microsoft.Compute/galleries/images/versions@2024-03-03"
  name      = "1.0.0"
  parent_id = azurerm_shared_image.definition.id
  location  = local.location
  body = {
    properties = {
      publishingProfile = {
        targetRegions = [
          {
            name = local.location
          },
        ]
        replicationMode = "Shallow"
      }
      storageProfile = {
        osDiskImage = {
          source = {
            id = azurerm_managed_disk.os.id
          }
        }
        dataDiskImages = [
          {
            lun = 1
            source = {
              id = azurerm_managed_disk.data1.id
            }
          },
          {
            lun = 0
            source = {
              id = azurerm_managed_disk.data0.id
            }
          },
        ]
      }
    }
  }
}
